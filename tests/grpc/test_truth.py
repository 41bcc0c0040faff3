"""What callers are told about a command is what has happened to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome, CommandResult
from django_cfg.errors import (
    ClientNotConnectedError,
    CommandError,
    CommandOutcomeUnknownError,
    CommandRejectedError,
    CommandTimeoutError,
    ConfigurationError,
)
from tests.grpc.streams import (
    Agent,
    Message,
    Recorder,
    Service,
    agent,
    clog,
    clog_but_for,
    make_service,
    one_agent,
    quiet,
    served,
    stamp,
    until,
)

Result = CommandResult[Message]


async def started(service: Service, connected: Agent, **given: Any) -> asyncio.Task[Result]:
    """A command that the agent has received."""
    waiting = asyncio.create_task(service.execute_command("a", {"command": "1"}, 10.0, **given))
    assert (await connected.hear())["command"] == "1"
    return waiting


async def test_completed() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected)
        await connected.report("1", "acknowledged")
        await connected.report("1", "completed", detail="well done", extra=5)
        result = await waiting

        assert (result.outcome, result.detail, result.ok) == (CommandOutcome.COMPLETED, "well done", True)
        assert result.may_have_run
        assert result.message is not None
        assert result.message["extra"] == 5
        assert result.epoch == service.agents()[0].epoch
        assert service.agents()[0].pending_commands == 0
        assert service.agents()[0].last_ack_at is not None
        result.raise_for_outcome()


async def test_acknowledged_is_enough_where_nothing_more_is_waited_for() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected, wait_for="acknowledged")
        await connected.report("1", "acknowledged")

        assert (await waiting).outcome is CommandOutcome.ACKNOWLEDGED


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_rejected(acknowledged: bool) -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected)
        if acknowledged:
            await connected.report("1", "acknowledged")
        await connected.report("1", "rejected", detail="not now")
        result = await waiting

        assert (result.outcome, result.ok, result.may_have_run) == (CommandOutcome.REJECTED, False, acknowledged)
        with pytest.raises(CommandRejectedError, match="not now"):
            result.raise_for_outcome()


async def test_not_connected() -> None:
    service = make_service()
    async with one_agent(service):
        result = await service.execute_command("somebody-else", {"command": "1"})

        assert (result.outcome, result.may_have_run, result.epoch) == (CommandOutcome.NOT_CONNECTED, False, None)
        with pytest.raises(ClientNotConnectedError, match="no stream"):
            result.raise_for_outcome()
        assert await service.send_to_client("somebody-else", {}) is False


async def test_not_connected_where_nothing_was_ever_served() -> None:
    service = make_service()

    assert (await service.execute_command("a", {"command": "1"})).outcome is CommandOutcome.NOT_CONNECTED
    assert await service.send_to_client("a", {}) is False
    assert await service.broadcast_to_all({}) == 0
    await service.disconnect_client("a")


async def test_timed_out_after_it_was_sent() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        result = await service.execute_command("a", {"command": "1"}, 0.05)

        assert (result.outcome, result.may_have_run) == (CommandOutcome.TIMED_OUT, True)
        assert result.elapsed_seconds >= 0.05
        with pytest.raises(CommandTimeoutError) as caught:
            result.raise_for_outcome()
        assert not caught.value.retryable
        assert await connected.hear() == {"command": "1"}


async def test_a_report_that_comes_too_late_is_refused_and_does_not_count_for_the_next_command() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with one_agent(service) as connected:
        await service.execute_command("a", {"command": "1"}, 0.05)
        await connected.report("1")
        await until(lambda: service.counts.refused_reports == 1)
        await until(lambda: len(notes.messages) == 2)

        assert (await service.execute_command("a", {"command": "2"}, 0.05)).outcome is CommandOutcome.TIMED_OUT


async def test_what_expires_in_the_queue_is_never_sent() -> None:
    service = make_service(quiet(max_queue_size=4))
    async with one_agent(service) as connected:
        await clog_but_for(service, "a", 2)
        result = await service.execute_command("a", {"command": "late"}, 0.05)
        await service.send_to_client("a", {"command": "after"})

        assert (result.outcome, result.may_have_run) == (CommandOutcome.TIMED_OUT, False)
        heard = [await connected.hear()]
        while heard[-1]["command"] != "after":
            heard.append(await connected.hear())
        assert "late" not in [one["command"] for one in heard]


async def test_outcome_unknown_at_once_when_the_stream_ends_after_sending() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected)
        await connected.break_off()
        result = await waiting

        assert (result.outcome, result.may_have_run) == (CommandOutcome.OUTCOME_UNKNOWN, True)
        assert result.elapsed_seconds < 10
        with pytest.raises(CommandOutcomeUnknownError):
            result.raise_for_outcome()


async def test_what_is_queued_at_the_end_of_the_stream_is_reported_and_was_not_sent() -> None:
    notes = Recorder()
    service = make_service(quiet(max_queue_size=4), notes)
    async with one_agent(service) as connected:
        await clog_but_for(service, "a", 2)
        assert await service.send_to_client("a", {"command": "plain"})
        waiting = asyncio.create_task(service.execute_command("a", {"command": "awaited"}))
        await until(lambda: service.agents()[0].pending_commands)
        await connected.break_off()
        result = await waiting

        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        await until(lambda: len(notes.undelivered) == 5)
        assert sorted((command["command"], reason) for _, command, reason in notes.undelivered) == [
            ("awaited", "stream_ended"),
            ("fill", "interrupted"),
            ("fill", "stream_ended"),
            ("fill", "stream_ended"),
            ("plain", "stream_ended"),
        ]
        assert service.counts.undelivered_commands == 5


async def test_a_full_queue_is_not_connected_and_nothing_was_sent() -> None:
    service = make_service(quiet(max_queue_size=2, queue_timeout=0.05))
    async with one_agent(service):
        await clog(service, "a")
        result = await service.execute_command("a", {"command": "1"})

        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert "full" in result.detail
        assert service.get_active_connections()["a"].qsize() == 2
        assert service.agents()[0].pending_commands == 0


async def test_reports_of_another_agent_complete_nothing_and_a_takeover_ends_the_wait() -> None:
    service = make_service()
    async with served(service) as address, agent(address, "a") as connected, agent(address, "b") as other:
        await until(lambda: len(service.agents()) == 2)
        waiting = await started(service, connected)
        await other.report("1")
        await until(lambda: service.counts.refused_reports == 1)
        assert not waiting.done()
        async with agent(address, "a") as newer:
            assert (await waiting).outcome is CommandOutcome.OUTCOME_UNKNOWN
            again = await started(service, newer)
            await newer.report("1")
            assert (await again).outcome is CommandOutcome.COMPLETED


async def test_a_report_about_a_command_that_was_not_sent_is_refused() -> None:
    service = make_service(quiet(max_queue_size=4))
    async with one_agent(service) as connected:
        await clog_but_for(service, "a", 2)
        waiting = asyncio.create_task(service.execute_command("a", {"command": "guessed"}, 0.5))
        await until(lambda: service.agents()[0].pending_commands)
        await connected.report("guessed")
        await until(lambda: service.counts.refused_reports == 1)

        assert (await waiting).outcome is CommandOutcome.TIMED_OUT


async def test_a_report_for_which_nobody_waits_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """As to every command that is only sent; one that could not be known yet is."""
    service = make_service(quiet(max_queue_size=4))
    async with one_agent(service) as connected:
        await service.send_to_client("a", {"command": "1"})
        await connected.hear()
        await connected.report("1")
        await until(lambda: service.counts.refused_reports == 1)
        assert [record for record in caplog.records if record.levelname != "INFO"] == []

        await clog_but_for(service, "a", 2)
        waiting = asyncio.create_task(service.execute_command("a", {"command": "guessed"}))
        await until(lambda: service.agents()[0].pending_commands)
        await connected.report("guessed")
        await until(lambda: service.counts.refused_reports == 2)
        assert "that command has not been sent" in caplog.text
        waiting.cancel()


async def test_an_id_in_flight_is_refused() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected)
        with pytest.raises(CommandError, match="already in flight"):
            await service.execute_command("a", {"command": "1"})
        await connected.report("1")

        assert (await waiting).ok


async def test_a_caller_that_gives_up_leaves_nothing_behind() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = await started(service, connected)
        waiting.cancel()
        await asyncio.wait([waiting])

        assert service.agents()[0].pending_commands == 0
        await connected.report("1")
        await until(lambda: service.counts.refused_reports == 1)


async def test_commands_carry_agent_epoch_and_time_left() -> None:
    service = make_service(stamp_command=stamp)
    async with one_agent(service) as connected:
        assert await service.send_to_client("a", {"command": "plain"})
        plain = await connected.hear()
        waiting = asyncio.create_task(service.execute_command("a", {"command": "1"}, 5.0))
        awaited = await connected.hear()
        await connected.report("1")

        assert (await waiting).ok
        assert plain == {"command": "plain", "epoch": service.agents()[0].epoch, "expires_in": None}
        assert 0 < awaited["expires_in"] <= 5.0


async def test_a_command_that_cannot_be_stamped_is_not_sent_and_the_stream_goes_on() -> None:
    notes = Recorder()

    def fussy(command: Message, given: object) -> Message:
        if command.get("bad"):
            raise ValueError("cannot be stamped")
        return None if command.get("forgotten") else command  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    service = make_service(notes=notes, stamp_command=fussy)
    async with one_agent(service) as connected:
        assert await service.send_to_client("a", {"bad": 1})
        result = await service.execute_command("a", {"command": "1", "bad": 1})
        await service.send_to_client("a", {"command": "good"})

        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert await connected.hear() == {"command": "good"}
        await until(lambda: notes.undelivered)
        assert notes.undelivered == [("a", {"bad": 1}, "stamp_failed")]
        assert [str(error) for error in notes.errors] == ["cannot be stamped"] * 2

        assert await service.send_to_client("a", {"forgotten": 1})
        await service.send_to_client("a", {"command": "better"})
        assert await connected.hear() == {"command": "better"}
        await until(lambda: len(notes.undelivered) == 2)
        assert notes.undelivered[1] == ("a", {"forgotten": 1}, "stamp_failed")
        assert str(notes.errors[-1]) == "it returned None in place of a command"


async def test_executing_needs_ids_and_outcomes() -> None:
    service = make_service(outcome_of=None)
    with pytest.raises(ConfigurationError, match="outcome_of"):
        await service.execute_command("a", {"command": "1"})


@pytest.mark.parametrize("found", ["", None, 7])
async def test_a_command_without_an_id_is_not_executed(found: Any) -> None:
    """Any report without an id would count for it."""
    service = make_service(command_id_of=lambda command: found)
    async with one_agent(service):
        with pytest.raises(ValueError, match="command_id_of must return a text"):
            await service.execute_command("a", {"command": "1"})


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), None, "5"])
async def test_a_timeout_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        await make_service().execute_command("a", {"command": "1"}, seconds)


async def test_a_callback_may_wait_for_a_command_to_its_own_agent() -> None:
    results: list[Result] = []

    async def process(client_id: str, message: Message, queue: object) -> None:
        if "id" in message:
            results.append(await service.execute_command(client_id, {"command": "welcome"}, 5.0))

    service = make_service(message_processor=process)
    async with one_agent(service) as connected:
        assert await connected.hear() == {"command": "welcome"}
        await connected.report("welcome")
        await until(lambda: results)

        assert results[0].ok
