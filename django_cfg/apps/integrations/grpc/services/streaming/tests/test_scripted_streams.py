"""Streams whose every message comes when the test wants it, for orders that sockets cannot be made to keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
    CommandOutcome,
    CommandReport,
    PingStrategy,
)

Message = tuple[str, ...]


class AbortedError(Exception):
    """As grpcio leaves a handler."""


class Stream:
    """One call of the method, without a transport."""

    def __init__(self, service: BidirectionalStreamingService[Message, str]) -> None:
        self.incoming: asyncio.Queue[Message | None] = asyncio.Queue()
        self.sent: list[str] = []
        self.status: grpc.StatusCode | None = None
        self.reads, self.let_go = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.let_go.set()
        self.task = asyncio.create_task(self._run(service))

    async def _run(self, service: BidirectionalStreamingService[Message, str]) -> None:
        context: Any = self
        try:
            async for command in service.handle_stream(self._messages(), context):
                self.sent.append(command)
                await self.reads.wait()
        except AbortedError:
            return
        self.status = grpc.StatusCode.OK

    async def _messages(self) -> AsyncIterator[Message]:
        while (message := await self.incoming.get()) is not None:
            yield message

    def peer(self) -> str:
        return "a test"

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.status = code
        await self.let_go.wait()
        raise AbortedError(details)

    def say(self, *message: str) -> None:
        self.incoming.put_nowait(message)


def outcome_of(message: Message) -> CommandReport | None:
    return CommandReport(message[1], CommandOutcome(message[2])) if message[0] == "report" else None


def make(processed: list[Message], **given: Any) -> BidirectionalStreamingService[Message, str]:
    async def process(client_id: str, message: Message, queue: object) -> None:
        processed.append(message)

    return BidirectionalStreamingService(
        BidirectionalStreamingConfig(ping_strategy=PingStrategy.DISABLED),
        process,
        lambda message: message[0],
        lambda: "ping",
        command_id_of=lambda command: command,
        outcome_of=outcome_of,
        **given,
    )


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_late_messages_of_a_superseded_stream_do_not_count() -> None:
    processed: list[Message] = []
    service = make(processed)
    older = Stream(service)
    older.let_go.clear()
    older.say("a")
    await settle()
    waiting = asyncio.create_task(service.execute_command("a", "1"))
    await settle()
    newer = Stream(service)
    newer.say("a")
    await settle()
    again = asyncio.create_task(service.execute_command("a", "1"))
    older.say("report", "1", "completed")
    older.say("late")
    await settle()

    assert (await waiting).outcome is CommandOutcome.OUTCOME_UNKNOWN
    assert older.incoming.empty(), "they were read, for the older stream has not ended yet"
    assert (older.sent, newer.sent, again.done()) == (["1"], ["1"], False)
    assert processed == [("a",), ("a",)]
    newer.say("report", "1", "completed")
    assert (await again).ok
    older.let_go.set()
    await older.task
    assert older.status is grpc.StatusCode.ABORTED
    assert service.is_client_connected("a")
    await service.drain(0)


async def test_what_was_said_before_a_takeover_is_processed_before_the_newer_stream_begins() -> None:
    processed: list[Message] = []
    service = make(processed)
    older, newer = Stream(service), Stream(service)
    older.say("a")
    older.say("last words")
    await settle()
    newer.say("a")
    newer.say("first words")
    await settle()

    assert processed == [("a",), ("last words",), ("a",), ("first words",)]
    await service.drain(0)


async def test_a_stream_that_is_still_being_flushed_ends_when_a_newer_one_begins() -> None:
    ended: list[str] = []

    async def on_disconnect(client_id: str) -> None:
        ended.append(client_id)

    service = make([], on_disconnect=on_disconnect)
    older = Stream(service)
    older.say("a")
    await settle()
    older.reads.clear()
    for number in range(3):
        await service.send_to_client("a", str(number))
    await settle()
    older.incoming.put_nowait(None)
    await settle()
    assert not service.is_client_connected("a")
    newer = Stream(service)
    newer.say("a")
    await settle()

    assert ended == ["a"]
    assert service.is_client_connected("a")
    older.reads.set()
    await older.task
    assert older.sent == ["0"]
    await service.drain(0)


async def test_epochs_grow_even_within_a_millisecond() -> None:
    service = make([])
    epochs: list[int] = []
    for _ in range(20):
        stream = Stream(service)
        stream.say("a")
        await settle()
        epochs.append(service.agents()[0].epoch)

    assert epochs == sorted(set(epochs))
    await service.drain(0)
