"""A thousand agents that come and go leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import grpc

from tests.grpc.streams import METHOD, Service, dumps, loads, make_service, served, until


async def test_a_thousand_agents_come_get_a_command_and_leave() -> None:
    service = make_service()
    async with served(service) as address, grpc.aio.insecure_channel(address) as channel:
        tracemalloc.start()
        try:
            await visit(service, channel, 200)
            tasks, kept = len(asyncio.all_tasks()), memory()
            for _ in range(4):
                await visit(service, channel, 200)

            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            assert memory() - kept < 300 * 800, "less than a fifth of what a stream takes is left of each"
        finally:
            tracemalloc.stop()


async def visit(service: Service, channel: grpc.aio.Channel, count: int) -> None:
    """Half of them say goodbye, the others just go."""
    open_stream: Any = channel.stream_stream(METHOD, dumps, loads)
    calls = [open_stream() for _ in range(count)]
    await asyncio.gather(*(call.write({"id": f"agent-{number}"}) for number, call in enumerate(calls)))
    await until(lambda: len(service.agents()) == count)
    assert await service.broadcast_to_all({"command": "hello"}) == count
    assert [await call.read() for call in calls] == [{"command": "hello"}] * count
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*(call.done_writing() for call in calls[1::2]))
    await until(lambda: not service.agents())


def memory() -> int:
    """Bytes that Python holds, without garbage."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
