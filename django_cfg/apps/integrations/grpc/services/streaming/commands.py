"""Pure: the commands of one stream whose outcome somebody waits for, from queued to settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandOutcome, CommandReport
from django_cfg.errors import CommandError

__all__ = ["Command", "Refusal", "Settled", "Stage", "StreamCommands", "WaitFor"]

TCommand = TypeVar("TCommand")
WaitFor = Literal["completed", "acknowledged"]
FROM_AGENTS = (CommandOutcome.ACKNOWLEDGED, CommandOutcome.COMPLETED, CommandOutcome.REJECTED)


class Stage(Enum):
    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"


class Refusal(StrEnum):
    """Why a report changes nothing."""

    NOT_IN_FLIGHT = "no command of that id is in flight to this agent"
    NOT_SENT = "that command has not been sent"
    NOT_A_REPORT = "agents report acknowledged, completed or rejected"


@dataclass(slots=True, eq=False)
class Command(Generic[TCommand]):
    """`deadline` is a time of the clock that the callers of `StreamCommands` use. `answered` once it is settled."""

    id: str
    payload: TCommand
    deadline: float
    wait_for: WaitFor
    settle: Callable[[Settled], None]
    stage: Stage = field(default=Stage.QUEUED, init=False)
    answered: bool = field(default=False, init=False)


class Settled(NamedTuple):
    """The end of one command; `message` is whatever the report came in."""

    outcome: CommandOutcome
    may_have_run: bool
    detail: str = ""
    message: Any = None


class StreamCommands(Generic[TCommand]):
    """Every method that settles a command also forgets it: nothing is settled twice."""

    __slots__ = ("_by_id", "_reports_end")

    def __init__(self) -> None:
        self._by_id: dict[str, Command[TCommand]] = {}
        self._reports_end = False

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, command: Command[TCommand]) -> bool:
        return self._by_id.get(command.id) is command

    def add(self, command: Command[TCommand]) -> None:
        """Raises CommandError for an id that is in flight: a report could not tell the two apart."""
        if command.id in self._by_id:
            raise CommandError(f"a command with the id {command.id!a} is already in flight to this agent")
        self._by_id[command.id] = command

    def may_send(self, command: Command[TCommand], now: float) -> bool:
        """True makes it a sent one. False for what its caller no longer waits for or cannot hear the end of."""
        if command not in self or now >= command.deadline or self._reports_end:
            return False
        command.stage = Stage.SENT
        return True

    def report(self, report: CommandReport, message: Any) -> Refusal | None:
        """An agent's word; the command is settled if that is as far as its caller waits."""
        command = self._by_id.get(report.command_id)
        if report.outcome not in FROM_AGENTS:
            return Refusal.NOT_A_REPORT
        if command is None:
            return Refusal.NOT_IN_FLIGHT
        if command.stage is Stage.QUEUED:
            return Refusal.NOT_SENT
        self._reported(command, report, message)
        return None

    def _reported(self, command: Command[TCommand], report: CommandReport, message: Any) -> None:
        outcome = CommandOutcome(report.outcome)  # applications also give the plain word
        ran = command.stage is Stage.ACKNOWLEDGED or outcome is not CommandOutcome.REJECTED
        if outcome is CommandOutcome.ACKNOWLEDGED:
            command.stage = Stage.ACKNOWLEDGED
            if command.wait_for != "acknowledged":
                return
        self._settle(command, Settled(outcome, ran, report.detail, message))

    def expire(self, command: Command[TCommand]) -> None:
        """Its deadline has passed: what was not sent will not be."""
        if command in self:
            self._settle(command, Settled(CommandOutcome.TIMED_OUT, *_known(command.stage)))

    def forget(self, command: Command[TCommand]) -> None:
        """Its caller waits no more."""
        if command in self:
            del self._by_id[command.id]

    def fail(self, command: Command[TCommand], detail: str) -> None:
        """It will not be sent."""
        if command in self:
            self._settle(command, Settled(CommandOutcome.NOT_CONNECTED, may_have_run=False, detail=detail))

    def end(self, detail: str) -> list[Command[TCommand]]:
        """No report can come any more: what was sent stays unknown; the others, returned here, will not be sent."""
        self._reports_end = True
        unsent = [command for command in self._by_id.values() if command.stage is Stage.QUEUED]
        for command in list(self._by_id.values()):
            sent = command.stage is not Stage.QUEUED
            outcome = CommandOutcome.OUTCOME_UNKNOWN if sent else CommandOutcome.NOT_CONNECTED
            self._settle(command, Settled(outcome, may_have_run=sent, detail=detail))
        return unsent

    def _settle(self, command: Command[TCommand], settled: Settled) -> None:
        del self._by_id[command.id]
        command.answered = True
        command.settle(settled)


def _known(stage: Stage) -> tuple[bool, str]:
    """Whether it may have run, and in words how far it got."""
    if stage is Stage.QUEUED:
        return False, "it was never sent"
    return True, "it was sent" if stage is Stage.SENT else "the agent has acknowledged it"
