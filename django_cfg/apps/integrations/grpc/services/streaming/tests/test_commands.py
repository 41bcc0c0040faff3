"""Every command is settled exactly once, and never as more than is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_cfg.apps.integrations.grpc.services.streaming.commands import (
    Command,
    Refusal,
    Settled,
    Stage,
    StreamCommands,
    WaitFor,
)
from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandOutcome, CommandReport
from django_cfg.errors import CommandError

DEADLINE = 10.0


class Caller:
    """Waits for one command."""

    def __init__(self, command_id: str = "1", wait_for: WaitFor = "completed") -> None:
        self.told: list[Settled] = []
        self.command = Command(command_id, f"payload of {command_id}", DEADLINE, wait_for, self.told.append)

    @property
    def outcome(self) -> tuple[CommandOutcome, bool]:
        (settled,) = self.told
        return settled.outcome, settled.may_have_run


def added(*callers: Caller) -> StreamCommands[str]:
    commands: StreamCommands[str] = StreamCommands()
    for caller in callers:
        commands.add(caller.command)
    return commands


def report(outcome: str, command_id: str = "1") -> CommandReport:
    return CommandReport(command_id, CommandOutcome(outcome), "detail")


def test_sent_acknowledged_completed() -> None:
    caller = Caller()
    commands = added(caller)

    assert commands.may_send(caller.command, 1.0)
    assert commands.report(report("acknowledged"), "ack") is None
    assert caller.told == []
    assert commands.report(report("completed"), "done") is None
    assert caller.told == [Settled(CommandOutcome.COMPLETED, True, "detail", "done")]
    assert len(commands) == 0


def test_reports_may_use_the_plain_words() -> None:
    """As an application without type checks does: the word is taken for what it means."""
    caller, refused = Caller(), Caller("2")
    commands = added(caller, refused)
    for one in (caller, refused):
        commands.may_send(one.command, 1.0)

    for word, command_id in (("acknowledged", "1"), ("rejected", "2")):
        assert commands.report(CommandReport(command_id, word), None) is None  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caller.told == []
    assert refused.outcome == (CommandOutcome.REJECTED, False)


def test_acknowledged_may_be_enough() -> None:
    caller = Caller(wait_for="acknowledged")
    commands = added(caller)
    commands.may_send(caller.command, 1.0)
    commands.report(report("acknowledged"), None)

    assert caller.outcome == (CommandOutcome.ACKNOWLEDGED, True)


def test_completed_is_more_than_acknowledged() -> None:
    caller = Caller(wait_for="acknowledged")
    commands = added(caller)
    commands.may_send(caller.command, 1.0)
    commands.report(report("completed"), None)

    assert caller.outcome == (CommandOutcome.COMPLETED, True)


def test_what_is_rejected_before_it_was_acknowledged_has_not_run() -> None:
    caller = Caller()
    commands = added(caller)
    commands.may_send(caller.command, 1.0)
    commands.report(report("rejected"), None)

    assert caller.outcome == (CommandOutcome.REJECTED, False)


def test_what_expires_in_the_queue_is_not_sent() -> None:
    caller = Caller()
    commands = added(caller)

    assert not commands.may_send(caller.command, DEADLINE)
    commands.expire(caller.command)
    assert caller.outcome == (CommandOutcome.TIMED_OUT, False)
    assert not commands.may_send(caller.command, 1.0)


def test_what_expires_after_sending_may_have_run() -> None:
    caller = Caller()
    commands = added(caller)
    commands.may_send(caller.command, 1.0)
    commands.expire(caller.command)

    assert caller.outcome == (CommandOutcome.TIMED_OUT, True)
    assert commands.report(report("completed"), None) is Refusal.NOT_IN_FLIGHT


def test_the_end_of_the_stream_tells_sent_from_unsent() -> None:
    sent, acknowledged, queued = Caller("1"), Caller("2"), Caller("3")
    commands = added(sent, acknowledged, queued)
    commands.may_send(sent.command, 1.0)
    commands.may_send(acknowledged.command, 1.0)
    commands.report(report("acknowledged", "2"), None)

    assert commands.end("gone") == [queued.command]
    assert sent.outcome == acknowledged.outcome == (CommandOutcome.OUTCOME_UNKNOWN, True)
    assert queued.outcome == (CommandOutcome.NOT_CONNECTED, False)
    assert not commands.may_send(queued.command, 1.0)


@pytest.mark.parametrize("outcome", ["delivered", "not_connected", "timed_out", "outcome_unknown"])
def test_agents_cannot_report_what_only_the_server_knows(outcome: str) -> None:
    caller = Caller()
    commands = added(caller)
    commands.may_send(caller.command, 1.0)

    assert commands.report(report(outcome), None) is Refusal.NOT_A_REPORT
    assert caller.told == []


def test_a_report_about_a_queued_or_unknown_command_is_refused() -> None:
    commands = added(Caller())

    assert commands.report(report("completed"), None) is Refusal.NOT_SENT
    assert commands.report(report("completed", "other"), None) is Refusal.NOT_IN_FLIGHT


def test_an_id_in_flight_is_refused() -> None:
    commands = added(Caller())
    with pytest.raises(CommandError, match="already in flight"):
        commands.add(Caller().command)


def test_a_forgotten_command_is_not_sent_and_frees_its_id() -> None:
    caller = Caller()
    commands = added(caller)
    commands.forget(caller.command)

    assert not commands.may_send(caller.command, 1.0)
    commands.add(Caller().command)
    commands.forget(caller.command)
    assert len(commands) == 1, "another command of the same id is not forgotten with it"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "send", "acknowledged", "completed", "rejected", "expire", "forget", "fail", "end"]),
        st.sampled_from(["1", "2", "3"]),
        st.floats(0.0, 2 * DEADLINE),
    ),
    max_size=60,
)


@given(STEPS)
def test_settled_at_most_once_and_truly(steps: list[tuple[str, str, float]]) -> None:
    commands: StreamCommands[str] = StreamCommands()
    callers: list[Caller] = []
    newest: dict[str, Caller] = {}
    sent: set[Command[str]] = set()
    forgotten: set[Command[str]] = set()
    for step, command_id, now in steps:
        caller = newest.get(command_id)
        if step == "add":
            fresh = Caller(command_id)
            try:
                commands.add(fresh.command)
            except CommandError:
                assert caller is not None
                assert caller.told == []
                continue
            newest[command_id] = fresh
            callers.append(fresh)
        elif step == "end":
            commands.end("over")
        elif step in ("acknowledged", "completed", "rejected"):
            commands.report(report(step, command_id), None)
        elif caller is not None and step == "send":
            if caller.command.stage is Stage.QUEUED and commands.may_send(caller.command, now):
                assert now < DEADLINE
                sent.add(caller.command)
        elif caller is not None and step == "forget":
            commands.forget(caller.command)
            forgotten.add(caller.command)
        elif caller is not None and step == "expire":
            commands.expire(caller.command)
        elif caller is not None and caller.command.stage is Stage.QUEUED:
            commands.fail(caller.command, "full")
    commands.end("over")

    assert len(commands) == 0
    for caller in callers:
        assert len(caller.told) == 1 or (caller.told == [] and caller.command in forgotten)
        for settled in caller.told:
            assert not settled.may_have_run or caller.command in sent
            if settled.outcome is CommandOutcome.NOT_CONNECTED:
                assert caller.command not in sent
