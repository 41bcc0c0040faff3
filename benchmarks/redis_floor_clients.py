"""The clients of the floors: no deadline, no record, no check, one fixed answer to whatever breaks: an exception."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from typing import Any

import redis
import redis.asyncio

from benchmarks.redis_floor_wire import new_id, request, result

PREFIX = "list:response:"
WAIT_SECONDS = 30
AT_ONCE = 100


class Fused:
    """Request and wait in one write, each caller on a connection of its own."""

    stream = "bench:batching"

    def __init__(self, url: str) -> None:
        self._pool: Any = redis.ConnectionPool.from_url(url, socket_timeout=None)
        self._idle: deque[Any] = deque()

    def call(self) -> Any:
        connection = self._idle.pop() if self._idle else self._pool.make_connection()
        correlation_id = new_id()
        reply_to = PREFIX + correlation_id
        packed = connection.pack_commands(
            [
                ("XADD", self.stream, "*", "payload", request(correlation_id, reply_to)),
                ("BLPOP", reply_to, WAIT_SECONDS),
            ]
        )
        connection.send_packed_command(packed)
        connection.read_response()
        answer = connection.read_response()
        self._idle.append(connection)
        return result(answer[1])[1]


class FusedLoop(Fused):
    stream = "bench:looping"


class Ipc:
    """As the clients of django-ipc: XADD, BLPOP, DEL, each a round trip."""

    stream = "bench:ipc"

    def __init__(self, url: str) -> None:
        pool: Any = redis.ConnectionPool.from_url(url, socket_timeout=None, max_connections=200)
        self._client: Any = redis.Redis(connection_pool=pool)

    def call(self) -> Any:
        correlation_id = new_id()
        reply_to = PREFIX + correlation_id
        self._client.xadd(self.stream, {"payload": request(correlation_id, reply_to)}, maxlen=10_000, approximate=True)
        answer = self._client.blpop(reply_to, WAIT_SECONDS)
        self._client.delete(reply_to)
        return result(answer[1])[1]


class Demux:
    """One reply list, a thread that reads it, and a thread that writes what has gathered."""

    stream = "bench:batching"

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url, socket_timeout=None)
        self._reply_to = PREFIX + new_id()
        self._queue: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._pending: dict[str, tuple[threading.Lock, list[Any]]] = {}
        for work in (self._write, self._read):
            threading.Thread(target=work, daemon=True).start()

    def call(self) -> Any:
        correlation_id = new_id()
        done, answer = self._pending[correlation_id] = (threading.Lock(), [])
        done.acquire()
        self._queue.put(("payload", request(correlation_id, self._reply_to)))
        done.acquire()
        return answer[0]

    def call_many(self, count: int) -> list[Any]:
        """One pipeline, and one wait after another on a list of its own."""
        reply_to = PREFIX + new_id()
        pipeline = self._client.pipeline(transaction=False)
        ids = [new_id() for _ in range(count)]
        for correlation_id in ids:
            pipeline.execute_command("XADD", self.stream, "*", "payload", request(correlation_id, reply_to))
        pipeline.execute()
        found: dict[str, Any] = {}
        while len(found) < count:
            popped = self._client.execute_command("BLMPOP", WAIT_SECONDS, 1, reply_to, "RIGHT", "COUNT", count)
            found.update(map(result, popped[1]))
        return [found[correlation_id] for correlation_id in ids]

    def _write(self) -> None:
        while True:
            gathered = [self._queue.get()]
            while not self._queue.empty() and len(gathered) < AT_ONCE:
                gathered.append(self._queue.get())
            pipeline = self._client.pipeline(transaction=False)
            for fields in gathered:
                pipeline.execute_command("XADD", self.stream, "*", *fields)
            pipeline.execute()

    def _read(self) -> None:
        while True:
            popped = self._client.execute_command("BLMPOP", WAIT_SECONDS, 1, self._reply_to, "RIGHT", "COUNT", AT_ONCE)
            for message in popped[1] if popped else ():
                correlation_id, value = result(message)
                done, answer = self._pending.pop(correlation_id)
                answer.append(value)
                done.release()


class DemuxLoop(Demux):
    stream = "bench:looping"


class AsyncDemux:
    """As Demux, in one event loop: two connections, two tasks."""

    stream = "bench:batching"

    def __init__(self, url: str) -> None:
        self._client: Any = redis.asyncio.Redis.from_url(url, socket_timeout=None)
        self._reply_to = PREFIX + new_id()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._pending: dict[str, asyncio.Future[Any]] = {}
        self._tasks = [asyncio.create_task(work()) for work in (self._write, self._read)]

    async def acall(self) -> Any:
        correlation_id = new_id()
        answer = self._pending[correlation_id] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(request(correlation_id, self._reply_to))
        return await answer

    async def _write(self) -> None:
        while True:
            gathered = [await self._queue.get()]
            while not self._queue.empty() and len(gathered) < AT_ONCE:
                gathered.append(self._queue.get_nowait())
            pipeline = self._client.pipeline(transaction=False)
            for payload in gathered:
                pipeline.execute_command("XADD", self.stream, "*", "payload", payload)
            await pipeline.execute()

    async def _read(self) -> None:
        while True:
            popped = await self._client.execute_command(
                "BLMPOP", WAIT_SECONDS, 1, self._reply_to, "RIGHT", "COUNT", AT_ONCE
            )
            for message in popped[1] if popped else ():
                correlation_id, value = result(message)
                self._pending.pop(correlation_id).set_result(value)
