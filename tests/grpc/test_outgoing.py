"""A command that cannot be written is the fault of whoever sent it, and of nobody else on that stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import CommandServer
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig, CommandOutcome
from tests.grpc.streams import Agent, Recorder, Service, agent, handlers, make_service, until

BAD: Any = {"command": "bad", "set": {1, 2}}
LARGE: Any = {"command": "large", "text": "x" * 2000}


@asynccontextmanager
async def connected(service: Service) -> AsyncGenerator[Agent]:
    server = CommandServer(GRPCConfig(max_message_bytes=1024))
    server.grpc.add_generic_rpc_handlers((handlers(service),))
    port = await server.start("127.0.0.1", 0)
    try:
        async with agent(f"127.0.0.1:{port}", "a") as one:
            await until(lambda: service.is_client_connected("a"))
            yield one
    finally:
        await service.drain(0)
        await server.drain(0)


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (BAD, "a dict is not what this stream's commands are"),
        (LARGE, "it has 2032 bytes, and GRPC['max_message_bytes'] allows 1024"),
    ],
    ids=["not serializable", "too large"],
)
async def test_it_is_not_sent_and_the_stream_goes_on(command: Any, detail: str) -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with connected(service) as one:
        other = asyncio.create_task(service.execute_command("a", {"command": "1"}, 10.0))
        assert await one.hear() == {"command": "1"}

        result = await service.execute_command("a", command, 10.0)
        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert result.detail == detail
        assert await service.send_to_client("a", command)
        await until(lambda: notes.undelivered)
        assert notes.undelivered == [("a", command, "not_writable")]
        assert [str(error) for error in notes.errors] == [detail] * 2

        await one.report("1")
        assert (await other).outcome is CommandOutcome.COMPLETED


async def test_a_ping_that_cannot_be_written_counts_as_none() -> None:
    notes = Recorder()
    config = BidirectionalStreamingConfig(ping_interval=0.05, ping_timeout=0.2)
    service = make_service(config, notes, ping_message_creator=lambda: {"ping": {1}})
    async with connected(service) as one:
        await until(lambda: len(notes.errors) > 10)
        assert await service.send_to_client("a", {"command": "1"})
        assert await one.hear() == {"command": "1"}
