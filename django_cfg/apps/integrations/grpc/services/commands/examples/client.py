"""`CommandClient`: all commands of one bot in one object, and the same command to many bots at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from django_cfg.apps.integrations.grpc.agent_ids import AgentId
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples.batch import Result, all_at_once
from django_cfg.apps.integrations.grpc.services.commands.examples.config import Changes, HasConfig, update_config
from django_cfg.apps.integrations.grpc.services.commands.examples.start import HasStatus, start_client
from django_cfg.apps.integrations.grpc.services.commands.examples.stop import stop_client

__all__ = ["CommandClient", "batch_start", "batch_stop"]


class Row(HasStatus, HasConfig, Protocol):
    """A bot's row in the database, as far as the commands change it."""


class CommandClient:
    """`model` is the bot's row, if there is one; it changes only when the bot has confirmed a command."""

    def __init__(self, client_id: AgentId, *, model: Row | None = None, **options: Any) -> None:
        """`options` are those of StreamingCommandClient."""
        self.client = FleetCommandClient(client_id, **options)
        self.model = model

    async def start(self, **options: Any) -> Result:
        return await start_client(self.client, model=self.model, **options)

    async def stop(self, **options: Any) -> Result:
        return await stop_client(self.client, model=self.model, **options)

    async def update_config(self, changes: Changes, **options: Any) -> Result:
        return await update_config(self.client, changes, model=self.model, **options)

    async def restart(self, *, grace_seconds: float | None = None, reason: str = "") -> Result:
        """Start it as soon as it has said that it has stopped; if it has not stopped, that result."""
        stopped = await self.stop(grace_seconds=grace_seconds, reason=reason)
        return await self.start(reason=reason) if stopped.ok else stopped


async def batch_start(clients: Iterable[CommandClient], *, reason: str = "") -> dict[str, Result]:
    """Results by agent id, as of `all_at_once`."""
    return await _all_at_once(clients, lambda one: one.start(reason=reason))


async def batch_stop(
    clients: Iterable[CommandClient], *, reason: str = "", grace_seconds: float | None = None
) -> dict[str, Result]:
    """Results by agent id, as of `all_at_once`."""
    return await _all_at_once(clients, lambda one: one.stop(reason=reason, grace_seconds=grace_seconds))


async def _all_at_once(
    clients: Iterable[CommandClient], send: Callable[[CommandClient], Awaitable[Result]]
) -> dict[str, Result]:
    return await all_at_once(clients, lambda one: one.client.client_id, send)
