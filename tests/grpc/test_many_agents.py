"""A thousand agents that come and go leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import grpc

from tests.grpc.streams import METHOD, Message, Service, dumps, loads, make_service, served, until

TASKS_AT_REST = 8
"""Of the test, the server and the channel; far less than one for each stream."""


async def test_a_thousand_agents_come_get_a_command_and_leave() -> None:
    service = make_service(message_processor=ignore, on_connect=None, on_disconnect=None)
    async with served(service) as address, grpc.aio.insecure_channel(address) as channel:
        tracemalloc.start()
        try:
            for _ in range(2):
                await visit(service, channel, 200)
            kept = memory()
            for _ in range(3):
                await visit(service, channel, 200)

            assert memory() - kept < 300 * 600, "of each stream next to nothing is left"
        finally:
            tracemalloc.stop()


async def ignore(client_id: str, message: Message, queue: Any) -> None:
    """Keeps nothing."""


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
    await until(lambda: len(asyncio.all_tasks()) < TASKS_AT_REST)


def memory() -> int:
    """Bytes that Python holds, without garbage."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
