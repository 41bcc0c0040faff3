"""The row of a bot, which follows what the bot has said."""

from __future__ import annotations

from typing import Any, Protocol

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult

__all__ = ["CanBeSaved", "RowNotSaved", "save"]


class CanBeSaved(Protocol):
    async def asave(self, *, update_fields: list[str]) -> None: ...


class RowNotSaved(Exception):
    """`result` stands: the bot has done what it was told, only its row does not say so."""

    def __init__(self, result: CommandResult[Any], error: Exception) -> None:
        super().__init__(f"command {result.command_id} is {result.outcome}, but the row was not saved: {error!r}")
        self.result = result


async def save(row: CanBeSaved, field: str, result: CommandResult[pb2.AgentMessage]) -> None:
    """Raises RowNotSaved, so that whoever has sent the command still learns what became of it."""
    try:
        await row.asave(update_fields=[field])
    except Exception as error:
        raise RowNotSaved(result, error) from error
