"""Whatever an application's callbacks raise, the server lives and the other agents notice nothing."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.streaming import callbacks
from tests.grpc.streams import Message, Recorder, agent, make_service, one_agent, quiet, served, until


class OwnError(Exception):
    """Whose text cannot be had either."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class OwnBaseError(BaseException):
    """Not even an Exception."""


def _every_kind() -> list[type[BaseException]]:
    """All built-in ones that need no arguments, and some more."""
    found: list[type[BaseException]] = [
        OwnError,
        OwnBaseError,
        asyncio.CancelledError,
        asyncio.QueueFull,
        grpc.RpcError,
    ]
    for kind in vars(builtins).values():
        if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, Warning):
            try:
                kind()
            except TypeError:
                continue
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__name__)


KINDS = _every_kind()


async def test_no_exception_of_a_processor_ends_a_stream_or_the_server() -> None:
    notes = Recorder()
    left = list(KINDS)

    async def process(client_id: str, message: Message, queue: Any) -> None:
        if "raise" in message:
            raise left.pop()
        if "recurse" in message:
            await process(client_id, message, queue)
        await notes.process(client_id, message, queue)

    assert len(KINDS) >= 50
    service = make_service(quiet(max_consecutive_errors=0), notes, message_processor=process)
    async with one_agent(service) as connected:
        for _ in KINDS:
            await connected.say(**{"raise": True})
        await connected.say(recurse=True)
        await connected.say(echo="alive")

        assert await connected.hear() == {"echo": "alive"}
        await until(lambda: len(notes.errors) == len(KINDS) + 1)
        assert service.counts.failed_messages == len(KINDS) + 1


async def test_too_many_failures_in_a_row_end_the_stream_without_internals() -> None:
    notes = Recorder()

    async def process(client_id: str, message: Message, queue: Any) -> None:
        if "bad" in message:
            raise ValueError("the password is 12345")

    service = make_service(quiet(max_consecutive_errors=2), notes, message_processor=process)
    async with one_agent(service) as connected:
        for bad in (True, True, False, True, True, True):
            await connected.say(**({"bad": 1} if bad else {"good": 1}))
        code, sentence = await connected.status()

        assert code is grpc.StatusCode.INTERNAL
        assert "3 messages in a row" in sentence
        assert "password" not in sentence
        await until(lambda: notes.disconnected == ["a"])


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, SystemExit, OwnBaseError])
async def test_a_failing_on_connect_ends_the_stream_and_on_disconnect_is_still_called(
    kind: type[BaseException],
) -> None:
    notes = Recorder()

    async def refuse(client_id: str) -> None:
        raise kind

    service = make_service(notes=notes, on_connect=refuse)
    async with served(service) as address, agent(address, "a") as connected:
        assert (await connected.status())[0] is grpc.StatusCode.INTERNAL
        await until(lambda: notes.disconnected == ["a"])
        assert [type(error) for error in notes.errors] == [kind]
        assert notes.messages == []


async def test_failing_on_disconnect_on_error_on_undelivered_and_creators_change_nothing() -> None:
    notes = Recorder()
    created: list[int] = []

    async def fail(*given: Any) -> None:
        raise OwnBaseError

    def create() -> Message:
        created.append(1)
        raise OwnBaseError

    service = make_service(
        quiet(ping_strategy="interval", ping_interval=0.02, ping_timeout=60, max_queue_size=2),
        notes,
        on_disconnect=fail,
        on_error=fail,
        on_undelivered=fail,
        outcome_of=fail_to_read,
        ping_message_creator=create,
        drain_message_creator=lambda seconds: create(),
    )
    async with one_agent(service) as connected:
        await until(lambda: len(created) > 2)
        await connected.say(echo=1)
        assert await connected.hear() == {"echo": 1}
        await connected.break_off()
        await until(lambda: not service.agents())


@pytest.mark.parametrize("kind", [OwnBaseError, None])
async def test_a_ping_that_cannot_be_made_is_none_that_an_agent_leaves_unanswered(
    kind: type[BaseException] | None,
) -> None:
    created: list[int] = []
    notes = Recorder()

    def create() -> Any:
        created.append(1)
        if kind is not None:
            raise kind

    config = quiet(ping_strategy="interval", ping_interval=0.02, ping_timeout=0.05)
    service = make_service(config, notes, ping_message_creator=create)
    async with one_agent(service) as connected:
        await until(lambda: len(created) > 10)
        await connected.say(echo=1)
        assert await connected.hear() == {"echo": 1}
        assert service.counts.pings == 0
        assert type(notes.errors[0]) is (kind or TypeError)


def fail_to_read(message: Message) -> None:
    raise OwnError


async def test_a_processor_that_never_ends_does_not_keep_a_stream_or_its_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django_cfg.apps.integrations.grpc.services.streaming.turns.LAST_SECONDS", 0.1)
    notes = Recorder()

    async def process(client_id: str, message: Message, queue: Any) -> None:
        if "for ever" in message:
            await asyncio.Event().wait()

    service = make_service(notes=notes, message_processor=process)
    async with served(service) as address:
        async with agent(address, "a", **{"for ever": True}):
            await until(lambda: notes.connected == ["a"])
        await until(lambda: notes.disconnected == ["a"])
        async with agent(address, "a"):
            await until(lambda: notes.connected == ["a", "a"])


@pytest.mark.parametrize("name", ["on_connect", "message_processor"])
async def test_a_callback_that_keeps_an_agent_from_being_heard_is_named_once(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("django_cfg.apps.integrations.grpc.services.streaming.turns.HELD_UP_SECONDS", 0.05)
    go_on = asyncio.Event()

    async def hang(client_id: str, *given: Any) -> None:
        await go_on.wait()

    def said() -> int:
        return caplog.text.count(f"agent 'a': {name} has not returned for 0.05 s")

    service = make_service(**{name: hang})
    async with one_agent(service) as connected:
        for number in range(40):
            await connected.say(number=number)
        await until(said)
        go_on.set()
        await until(lambda: service.counts.messages == 41)
        assert said() == 1


async def test_on_connect_may_send() -> None:
    async def welcome(client_id: str) -> None:
        assert await service.send_to_client(client_id, {"command": "welcome"})

    service = make_service(on_connect=welcome)
    async with one_agent(service) as connected:
        assert await connected.hear() == {"command": "welcome"}


async def test_messages_already_received_are_processed_although_the_agent_has_gone() -> None:
    notes = Recorder()
    begin = asyncio.Event()

    async def process(client_id: str, message: Message, queue: Any) -> None:
        await begin.wait()
        notes.messages.append(message)

    service = make_service(notes=notes, message_processor=process)
    async with one_agent(service) as connected:
        for number in range(5):
            await connected.say(number=number)
        await until(lambda: service.counts.messages == 6)
        await connected.break_off()
        await until(lambda: not service.agents())
        begin.set()

        await until(lambda: notes.disconnected)
        assert len(notes.messages) == 6


async def test_errors_of_which_nobody_has_been_told_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MOST_UNTOLD", 3)
    told: list[str] = []
    go_on = asyncio.Event()

    async def process(client_id: str, message: Message, queue: Any) -> None:
        raise ValueError

    async def on_error(client_id: str, error: BaseException) -> None:
        told.append(client_id)
        await go_on.wait()

    service = make_service(quiet(max_consecutive_errors=0), message_processor=process, on_error=on_error)
    async with one_agent(service) as connected:
        for _ in range(20):
            await connected.say(bad=True)
        await until(lambda: service.counts.failed_messages == 21)
        assert len(told) == 3
        go_on.set()
        await connected.say(bad=True)
        await until(lambda: len(told) > 3)
