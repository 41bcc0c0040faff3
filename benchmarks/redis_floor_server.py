"""`python -m benchmarks.redis_floor_server {batching|looping|ipc} URL`: what nothing can stop, recover or bound.

`batching` is the least that answers over a stream: read, answer all that was read in one transaction, read again.
`looping` is the same in an event loop, which a server needs whose methods are async. `ipc` does what django-ipc 1.0.9
does, where that is not installed: a task for each message, and three round trips for its reply.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import redis
import redis.asyncio

from benchmarks.redis_floor_wire import REPLY_SECONDS, answered

GROUP, CONSUMER = "floor", "floor-1"


def serve_batching(url: str, stream: str) -> None:
    client: Any = redis.Redis.from_url(url, socket_timeout=None)
    client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    print("ready", flush=True)
    while True:
        answer = client.execute_command(
            "XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", 100, "BLOCK", 1000, "STREAMS", stream, ">"
        )
        if answer:
            _answer_all(pipeline := client.pipeline(transaction=True), stream, _rows(answer))
            pipeline.execute()


async def serve_in_a_loop(url: str, stream: str) -> None:
    client: Any = redis.asyncio.Redis.from_url(url, socket_timeout=None)
    await client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    print("ready", flush=True)
    while True:
        answer = await client.execute_command(
            "XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", 100, "BLOCK", 1000, "STREAMS", stream, ">"
        )
        if answer:
            _answer_all(pipeline := client.pipeline(transaction=True), stream, _rows(answer))
            await pipeline.execute()


def _answer_all(pipeline: Any, stream: str, rows: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    for _, fields in rows:
        reply_to, reply = answered(fields[b"payload"])
        pipeline.execute_command("LPUSH", reply_to, reply)
        pipeline.execute_command("EXPIRE", reply_to, REPLY_SECONDS)
    ids = [entry_id for entry_id, _ in rows]
    pipeline.execute_command("XACK", stream, GROUP, *ids)
    pipeline.execute_command("XDEL", stream, *ids)


async def serve_like_ipc(url: str, stream: str) -> None:
    client: Any = redis.asyncio.Redis.from_url(url, socket_timeout=None, max_connections=2000)
    await client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    running: set[asyncio.Task[None]] = set()

    async def answer(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        reply_to, reply = answered(fields[b"payload"])
        await client.lpush(reply_to, reply)
        await client.expire(reply_to, REPLY_SECONDS)
        await client.xack(stream, GROUP, entry_id)

    print("ready", flush=True)
    while True:
        for entry_id, fields in _rows(await client.xreadgroup(GROUP, CONSUMER, {stream: ">"}, count=10, block=1000)):
            task = asyncio.create_task(answer(entry_id, fields))
            running.add(task)
            task.add_done_callback(running.discard)


def _rows(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return answer[0][1] if answer else []


if __name__ == "__main__":
    kind, address = sys.argv[1:]
    if kind == "ipc":
        asyncio.run(serve_like_ipc(address, "bench:ipc"))
    elif kind == "looping":
        asyncio.run(serve_in_a_loop(address, "bench:looping"))
    else:
        serve_batching(address, "bench:batching")
