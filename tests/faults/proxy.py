"""A TCP proxy that makes a link slow, narrow, silent or broken while a test runs; it knows no protocol.

It runs in a thread of its own, so that blocking and asynchronous tests use it alike. Nothing that TCP would not do is
done to a connection that lives on: bytes are late, in small pieces, or held until the link heals, never lost. Lost is
what was under way when a connection is reset.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

_T = TypeVar("_T")

ABORT = struct.pack("ii", 1, 0)
CHUNK_BYTES = 65536
CHUNKS_UNDER_WAY = 64
BOUND_SECONDS = 10.0


class Direction:
    """One way through every connection of a proxy; set its attributes whenever, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self.latency_seconds = 0.0
        self.jitter_seconds = 0.0
        self.bytes_per_second = 0
        """0: as fast as it goes."""
        self.slice_bytes = 0
        """The most in one write; 0: as it came."""
        self._loop = loop
        self._random = random.Random(seed)  # noqa: S311 - repeatable weather, not a secret
        self._flows = asyncio.Event()
        self._flows.set()

    def hold(self) -> None:
        """From now on nothing arrives, and nobody is told: a link that is down in this direction."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def release(self) -> None:
        """The link is up again, and what was sent meanwhile arrives, as TCP's retransmissions do."""
        self._loop.call_soon_threadsafe(self._flows.set)

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Until the source ends; then the sink ends, too."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_in(source, chunks))
            group.create_task(self._let_out(chunks, sink))

    async def _take_in(self, source: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = await source.read(CHUNK_BYTES)
            except OSError:
                chunk = b""
            delay = self.latency_seconds + self._random.uniform(0, self.jitter_seconds)
            await chunks.put((self._loop.time() + delay, chunk))

    async def _let_out(self, chunks: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(due - self._loop.time())
            for piece in self._pieces(chunk):
                await self._flows.wait()
                if not sink.is_closing():
                    sink.write(piece)
                    with suppress(OSError):
                        await sink.drain()
                if self.bytes_per_second:
                    await asyncio.sleep(len(piece) / self.bytes_per_second)
            if not chunk:
                await self._flows.wait()
                with suppress(OSError):
                    sink.close()
                return

    def _pieces(self, chunk: bytes) -> list[bytes]:
        width = self.slice_bytes or len(chunk) or 1
        return [chunk[at : at + width] for at in range(0, len(chunk), width)]


class Proxy:
    """`up` leads to the target, `down` back. `target_port` may change: it holds for connections made afterwards."""

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.resets = 0
        """How many connections were broken so far."""
        self._loop = asyncio.new_event_loop()
        self.up = Direction(self._loop, seed)
        self.down = Direction(self._loop, seed + 1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._listener, self._accept)
        self.port: int = self._listener.getsockname()[1]

    @property
    def connections(self) -> int:
        """How many lead through it now."""
        return len(self._tasks)

    def hold(self) -> None:
        """Both ways: half-open connections, and new ones that say nothing."""
        self.up.hold()
        self.down.hold()

    def release(self) -> None:
        self.up.release()
        self.down.release()

    def reset(self) -> None:
        """Break every connection with RST; what was under way, or held, is lost."""
        self._run(self._reset())

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_SECONDS)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND_SECONDS)

    def _accept(self) -> None:
        """Not left to asyncio's server, which loses a connection that comes while it is closed."""
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has gone again
            return
        client.setblocking(False)
        task = self._loop.create_task(self._carry_both(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_both(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        self._writers.add(writer)
        try:
            await self._carry_onward(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _carry_onward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            _abort(writer)
            return
        self._writers.add(onward)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.up.carry(reader, onward))
                group.create_task(self.down.carry(onward_reader, writer))
        finally:
            self._writers.discard(onward)
            onward.close()

    async def _reset(self) -> None:
        ending = list(self._tasks)
        await asyncio.sleep(0)  # to a task that is cancelled before its first step, its connection would be lost
        for writer in self._writers:
            _abort(writer)
        self.resets += len(ending)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _close(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()
        await self._reset()


@contextmanager
def proxied(target_port: int, *, seed: int = 0) -> Generator[Proxy]:
    proxy = Proxy(target_port, seed=seed)
    try:
        yield proxy
    finally:
        proxy.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()
