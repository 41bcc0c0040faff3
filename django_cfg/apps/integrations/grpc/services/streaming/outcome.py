"""What became of a command: the words that the service, its callers and the agents' messages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from django_cfg.errors import (
    ClientNotConnectedError,
    CommandError,
    CommandOutcomeUnknownError,
    CommandRejectedError,
    CommandTimeoutError,
)

__all__ = ["CommandOutcome", "CommandReport", "CommandResult", "CommandStamp", "Undelivered"]

TMessage = TypeVar("TMessage")


class CommandOutcome(StrEnum):
    """`acknowledged`, `completed` and `rejected` are the agent's own word; the others are what the server knows."""

    DELIVERED = "delivered"
    """Handed to the transport of a live stream; nothing is known beyond that."""
    ACKNOWLEDGED = "acknowledged"
    COMPLETED = "completed"
    REJECTED = "rejected"
    NOT_CONNECTED = "not_connected"
    """Never sent: no stream, a stream that ended first, a full queue, or a server that is draining."""
    TIMED_OUT = "timed_out"
    OUTCOME_UNKNOWN = "outcome_unknown"
    """The stream ended after it was sent."""


class Undelivered(StrEnum):
    """Why a command that was accepted has not reached its agent; what `on_undelivered` is told."""

    STREAM_ENDED = "stream_ended"
    SUPERSEDED = "superseded"
    DRAINING = "draining"
    STAMP_FAILED = "stamp_failed"
    NOT_WRITABLE = "not_writable"
    """No message of the stream's method, or larger than `max_message_bytes`."""
    INTERRUPTED = "interrupted"
    """The stream ended while this one was being written: the agent may have it."""


class CommandReport(NamedTuple):
    """What an agent's message says about a command: `acknowledged`, `completed` or `rejected`."""

    command_id: str
    outcome: CommandOutcome
    detail: str = ""


class CommandStamp(NamedTuple):
    """Known only when a command is sent: by these an agent refuses one that is late or meant for another stream."""

    agent_id: str
    epoch: int
    expires_in_seconds: float | None


@dataclass(frozen=True)
class CommandResult(Generic[TMessage]):
    """`message` is the agent's own, where one settled the command; `epoch` is of the stream that it was meant for."""

    outcome: CommandOutcome
    command_id: str
    agent_id: str
    epoch: int | None = None
    message: TMessage | None = field(default=None, repr=False)
    detail: str = ""
    may_have_run: bool = False
    elapsed_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the command got as far as was waited for."""
        return self.outcome not in _FAILURES

    def __bool__(self) -> bool:
        """As `ok`, so that `if await client.start()` does not take a failure for a success."""
        return self.ok

    def raise_for_outcome(self) -> None:
        """Raises the CommandError of the outcome; nothing for a command that got as far as was waited for."""
        kind = _FAILURES.get(self.outcome)
        if kind is not None:
            raise kind(self._sentence(), details=self._details(), retryable=self._retryable())

    def _sentence(self) -> str:
        said = f": {self.detail}" if self.detail else ""
        command = f"command {self.command_id}" if self.command_id else "the command"
        return f"{command} to agent {self.agent_id}: {self.outcome.replace('_', ' ')}{said}"

    def _details(self) -> dict[str, Any]:
        return {"command_id": self.command_id, "agent_id": self.agent_id, "may_have_run": self.may_have_run}

    def _retryable(self) -> bool:
        return not self.may_have_run and self.outcome is not CommandOutcome.REJECTED


_FAILURES: dict[CommandOutcome, type[CommandError]] = {
    CommandOutcome.REJECTED: CommandRejectedError,
    CommandOutcome.NOT_CONNECTED: ClientNotConnectedError,
    CommandOutcome.TIMED_OUT: CommandTimeoutError,
    CommandOutcome.OUTCOME_UNKNOWN: CommandOutcomeUnknownError,
}
