"""Connections of threads, written and read without redis-py's layers, which cost more than a call.

redis-py opens them (address, TLS, password, database); from then on the socket is ours.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    BLOCKING_SECONDS,
    CONNECT_SECONDS,
    FAILURES,
    POOL_WAIT_SECONDS,
    Command,
    blocking_connections,
    is_missing_script,
    is_refusal,
    left_by_its_other_end,
    new_parser,
    pack,
    read_run_id,
    tells_of_replica,
)
from django_cfg.modules.django_rpc.patience import Patience, patience_of

__all__ = ["Line", "Lines", "Link"]

LATE_SECONDS = 0.2
"""How much later than a deadline Redis may say that a wait is over."""

READ_BYTES = 64 * 1024


class Link:
    """One connection, opened at once; `run_id` is the Redis process at its other end. Raises one of FAILURES.

    `deadline` (monotonic seconds) is that of whoever uses it now: no read lasts longer, nor longer than
    `longest_seconds`.
    """

    def __init__(self, connect: Callable[[], Any], deadline: float, longest_seconds: float = BLOCKING_SECONDS) -> None:
        self.deadline = deadline
        self._longest_seconds = longest_seconds
        self._timeout = self._dozed = 0.0
        self._least = 1
        self._parser: Any = new_parser()
        self._connection: Any = connect()
        seconds = self._seconds_left()  # for the words with which redis-py opens it, too
        self._connection.socket_timeout = seconds
        self._connection.socket_connect_timeout = min(CONNECT_SECONDS, seconds)
        try:
            self._connection.connect()
            self._socket: Any = self._connection._sock
            self._patience: Patience = patience_of(self._socket)
            self.run_id = read_run_id(self.run("INFO", "server"))
        except BaseException:
            self.close()
            raise

    def run(self, *command: str | bytes | int | float) -> Any:
        self.send(command)
        return self.read()

    def send(self, *commands: Command) -> None:
        """In one write."""
        self._dozed = 0.0
        self._socket.sendall(pack(commands))

    def doze(self, at_least: int, seconds: float) -> None:
        """Returns when so many bytes of answers have come, or the time is up; some systems come back earlier."""
        began = time.monotonic()
        try:
            received = self._receive(min(seconds, self._seconds_left()), at_least)
        except TimeoutError:
            received = b""
        if len(received) < at_least:
            self._dozed = time.monotonic() - began  # in which Redis may have been silent
        self._parser.feed(received)

    def read(self) -> Any:
        """The next answer; Redis's own errors are raised."""
        answer = self._parser.gets()
        while answer is False:
            self._parser.feed(self._receive(self._seconds_left()))
            answer = self._parser.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_clean(self) -> bool:
        """Whether the other end is there and nothing unread is left."""
        return self._patience.is_idle() and not self._parser.has_data()

    def close(self) -> None:
        self._connection.disconnect()

    def _receive(self, seconds: float, at_least: int = 1) -> bytes:
        if seconds != self._timeout:
            self._patience.last(seconds)
            self._timeout = seconds
        if at_least != self._least:
            self._patience.least(at_least)
            self._least = at_least
        try:
            received: bytes = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            raise TimeoutError("Redis did not answer in time") from None
        if not received:
            raise left_by_its_other_end()
        return received

    def _seconds_left(self) -> float:
        longest = self._longest_seconds - self._dozed
        return min(longest, max(0.0, self.deadline - time.monotonic()) + LATE_SECONDS)


class Line:
    """For one thread at a time: a link that is opened when first needed, and again after it has broken."""

    def __init__(self, config: WebSocketRPCConfig, timeout_seconds: float) -> None:
        self._connect = blocking_connections(config)
        self._timeout_seconds = timeout_seconds
        self._link: Link | None = None

    def open(self) -> Link:
        """Raises one of FAILURES, and then nothing has been sent."""
        deadline = time.monotonic() + self._timeout_seconds
        if self._link is not None and not self._link.is_clean():  # it has broken while nobody used it
            self.close()
        if self._link is None:
            self._link = Link(self._connect, deadline, self._timeout_seconds)
        self._link.deadline = deadline
        return self._link

    def run(self, *command: str | bytes | int | float) -> Any:
        """Raises one of FAILURES."""
        return self._ask(self.open(), *command)

    def enqueue(self, link: Link, command: Sequence[str | bytes | int]) -> list[bytes]:
        """An `outgoing.enqueue_command` over what `open` has returned: its answers, one for each request.

        Raises one of FAILURES.
        """
        try:
            answers: list[bytes] = self._ask(link, *command)
        except FAILURES as error:
            if not is_missing_script(error):
                raise
            answers = self._ask(link, "EVAL", scripts.ENQUEUE, *command[2:])
        return answers

    def _ask(self, link: Link, *command: str | bytes | int | float) -> Any:
        try:
            return link.run(*command)
        except BaseException as error:
            if not is_refusal(error) or tells_of_replica(error):
                self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class Lines:
    """So many lines for any thread, which waits for a free one."""

    def __init__(self, config: WebSocketRPCConfig, count: int, timeout_seconds: float) -> None:
        self._closed = False
        self._free: queue.LifoQueue[Line] = queue.LifoQueue()  # the one used last is open already
        for _ in range(count):
            self._free.put(Line(config, timeout_seconds))

    @contextmanager
    def taken(self) -> Generator[Line]:
        """Raises one of FAILURES when none becomes free."""
        try:
            line = self._free.get(timeout=POOL_WAIT_SECONDS)
        except queue.Empty:
            raise TimeoutError("all connections are in use") from None
        try:
            yield line
        finally:
            if self._closed:
                line.close()
            self._free.put(line)

    def close(self) -> None:
        """One that is in use is closed when it comes back."""
        self._closed = True
        for line in tuple(self._free.queue):
            line.close()
