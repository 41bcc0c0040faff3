"""START: a bot begins its work, and its row in the database says so once the bot has."""

from __future__ import annotations

from typing import Any, Protocol

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.commands.examples.rows import CanBeSaved, save
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult

__all__ = ["HasStatus", "start_client"]


class HasStatus(CanBeSaved, Protocol):
    """A Django model, or whatever else keeps a status and can be saved."""

    status: Any


async def start_client(
    client: FleetCommandClient,
    *,
    model: HasStatus | None = None,
    reason: str = "",
    command_id: str = "",
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> CommandResult[pb2.AgentMessage]:
    """`model.status` becomes "running" when the bot has said that it runs, and stays as it is otherwise."""
    command = pb2.Command(command_id=command_id or new_command_id(), start=pb2.Start(reason=reason))
    result = await client.execute_command(command, timeout)
    if result.ok and model is not None:
        model.status = "running"
        await save(model, "status", result)
    return result
