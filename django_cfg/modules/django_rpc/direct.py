"""A connection to Redis in an event loop, written and read without redis-py's layers, which cost more than a call.

redis-py opens it (address, TLS, password, database); from then on the transport is ours.
"""

# ruff: noqa: E402 - whoever has no redis installed is to get a sentence, not an ImportError
from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    COMMAND_SECONDS,
    Command,
    async_connections,
    left_by_its_other_end,
    new_parser,
    pack,
    tells_of_replica,
)
from django_cfg.modules.django_rpc.extra import require_redis

require_redis()

import redis

__all__ = ["DirectRedis"]


class DirectRedis:
    """Opened when first needed, and again after it has broken. Several tasks may share it; not for long blocking."""

    def __init__(self, config: WebSocketRPCConfig, timeout_seconds: float = COMMAND_SECONDS) -> None:
        self._connect = async_connections(config)
        self._timeout_seconds = timeout_seconds
        self._opening = asyncio.Lock()
        self._channel: _Channel | None = None

    async def run(self, *command: str | bytes | int) -> Any:
        """Raises one of FAILURES."""
        return self.answer(await self._exchange(pack([command]), 1))

    def start(self, *command: str | bytes | int) -> asyncio.Future[list[Any]] | None:
        """`run` in two steps: it has been sent when this returns; None, and nothing sent, where no connection is open.

        `answer` is for what the future, which may raise one of FAILURES, holds in the end.
        """
        channel = self._living()
        return None if channel is None else channel.exchange(pack([command]), 1, self._timeout_seconds)

    def answer(self, answers: list[Any]) -> Any:
        """Of one command; raises one of FAILURES."""
        (answer,) = answers
        if isinstance(answer, Exception):
            if tells_of_replica(answer):
                self.close()
            raise answer
        return answer

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """In one round trip; an answer may be an exception. Raises one of FAILURES."""
        return await self._exchange(pack(commands), len(commands))

    def close(self) -> None:
        if self._channel is not None:
            self._channel.break_off(redis.ConnectionError("the connection was closed"))

    async def _exchange(self, packed: bytes, answers: int) -> list[Any]:
        channel = self._living() or await self._open()
        return await channel.exchange(packed, answers, self._timeout_seconds)

    def _living(self) -> _Channel | None:
        return None if self._channel is None or self._channel.broken else self._channel

    async def _open(self) -> _Channel:
        async with self._opening:
            channel = self._living()
            if channel is None:
                self.close()
                channel = self._channel = await _open_channel(self._connect)
            return channel


async def _open_channel(connect: Callable[[], Any]) -> _Channel:
    connection = connect()
    await connection.connect()
    writer, connection._writer = connection._writer, None  # it is ours to close now
    return _Channel(writer)


class _Waiting(NamedTuple):
    """`deadline` in the loop's time."""

    future: asyncio.Future[list[Any]]
    answers: int
    deadline: float


class _Channel(asyncio.Protocol):
    """Answers come in the order of the commands."""

    def __init__(self, writer: Any) -> None:
        self.broken = False
        self._writer = writer  # which closes the transport when it is collected
        self._transport: asyncio.Transport = writer.transport
        self._parser: Any = new_parser()
        self._waiting: deque[_Waiting] = deque()
        self._answers: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._transport.set_protocol(self)

    def exchange(self, packed: bytes, answers: int, timeout_seconds: float) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append(_Waiting(future, answers, self._loop.time() + timeout_seconds))
        if self._watch is None:
            self._watch = self._loop.call_later(timeout_seconds, self._look)
        self._transport.write(packed)
        return future

    def _look(self) -> None:
        """One timer for all that ever wait here: to set one for each, and cancel it, costs more than to wait."""
        self._watch = None
        if not self._waiting:
            return
        if self._waiting[0].deadline <= self._loop.time():
            self.break_off(redis.TimeoutError("Redis did not answer in time"))
        else:
            self._watch = self._loop.call_at(self._waiting[0].deadline, self._look)

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        try:
            while (answer := self._parser.gets()) is not False:
                self._take(answer)
        except redis.ConnectionError as error:
            self.break_off(error)

    def _take(self, answer: Any) -> None:
        if tells_of_replica(answer):
            self.broken = True  # the next exchange goes where the address leads by now
        self._answers.append(answer)
        future = self._waiting[0].future
        if len(self._answers) == self._waiting[0].answers:
            self._waiting.popleft()
            answers, self._answers = self._answers, []
            if not future.done():
                future.set_result(answers)
            if self.broken and not self._waiting:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.break_off(left_by_its_other_end())

    def break_off(self, error: Exception) -> None:
        """Whoever waits hears `error`; nothing more is sent here."""
        self.broken = True
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(error)
                with contextlib.suppress(Exception):
                    future.exception()  # whoever has gone need not be told that nobody asked
