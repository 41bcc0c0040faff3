"""CONFIG_UPDATE: only the fields that are given change, for one bot or for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult

__all__ = ["HasConfig", "batch_update_config", "update_config"]

Changes = Mapping[str, float | int | str]


class HasConfig(Protocol):
    """A Django model with a JSONField `config`, or whatever else keeps one and can be saved."""

    config: Any

    async def asave(self, *, update_fields: list[str]) -> None: ...


async def update_config(
    client: FleetCommandClient,
    changes: Changes,
    *,
    model: HasConfig | None = None,
    command_id: str = "",
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> CommandResult[pb2.AgentMessage]:
    """`changes` are fields of AgentConfig by name; `model.config` gets them when the bot has taken them.

    Raises ValueError for a name that AgentConfig does not have, TypeError for a value that does not fit.
    """
    update = pb2.ConfigUpdate(changes=_agent_config(changes))
    command = pb2.Command(command_id=command_id or new_command_id(), config_update=update)
    result = await client.execute_command(command, timeout)
    if result.ok and model is not None:
        model.config = {**(model.config or {}), **changes}
        await model.asave(update_fields=["config"])
    return result


async def batch_update_config(
    clients: Iterable[FleetCommandClient],
    changes: Changes,
    *,
    models: Mapping[str, HasConfig] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> dict[str, CommandResult[pb2.AgentMessage]]:
    """Results by agent id; no bot waits for a slower one, and `models` are those of the agents by id."""
    known = models or {}
    chosen = list(clients)
    results = await asyncio.gather(
        *(update_config(one, changes, model=known.get(one.client_id), timeout=timeout) for one in chosen)
    )
    return {one.client_id: result for one, result in zip(chosen, results, strict=True)}


def _agent_config(changes: Changes) -> pb2.AgentConfig:
    if not changes:
        raise ValueError("changes are empty: name at least one field of AgentConfig")
    return pb2.AgentConfig(**dict(changes))  # type: ignore[arg-type]
