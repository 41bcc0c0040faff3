"""The end of the server, for what runs beside the streams."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.agents_view import list_agents
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import CommandServer
from django_cfg.apps.integrations.grpc.services.streaming.draining import DRAINING
from tests.grpc.echoing import BOUND_SECONDS, opened
from tests.grpc.streams import agent, handlers, make_service, until

CONFIG = GRPCConfig()


class Slow:
    """A unary method that takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.started = asyncio.Event()
        self._seconds = seconds

    async def __call__(self, request: bytes, context: Any) -> bytes:
        self.started.set()
        await asyncio.sleep(self._seconds)
        return b"done"


async def drained(slow: Slow, drain_seconds: float) -> tuple[Any, float]:
    """What the caller of a method that runs at the end hears, and how long that takes; with somebody who watches."""

    async def run(request: bytes, context: Any) -> bytes:
        return await slow(request, context)

    server = CommandServer(CONFIG)
    handlers = {"Slow": grpc.unary_unary_rpc_method_handler(run)}
    server.grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Slow", handlers)])
    port = await server.start("127.0.0.1", 0)
    async with opened(CONFIG, f"127.0.0.1:{port}") as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=BOUND_SECONDS)
        await watch.read()
        call: Any = channel.unary_unary("/test.Slow/Slow")(b"", timeout=BOUND_SECONDS)
        await slow.started.wait()
        began = time.monotonic()
        await server.drain(drain_seconds)
        took = time.monotonic() - began
        try:
            return await call, took
        except grpc.aio.AioRpcError as error:
            return error.code(), took


async def test_a_unary_method_has_the_time_of_the_drain_and_no_more_is_taken() -> None:
    drain_seconds = 25.0
    answer, took = await drained(Slow(1.5), drain_seconds)

    assert answer == b"done"
    assert took < drain_seconds


async def test_a_unary_method_that_takes_longer_is_cut() -> None:
    answer, took = await drained(Slow(BOUND_SECONDS), 0.5)

    assert answer == grpc.StatusCode.UNAVAILABLE
    assert took < BOUND_SECONDS


async def test_a_service_that_nobody_has_registered_is_drained_and_listed_too() -> None:
    service = make_service()
    server = CommandServer(CONFIG)
    server.grpc.add_generic_rpc_handlers((handlers(service),))
    port = await server.start("127.0.0.1", 0)
    async with agent(f"127.0.0.1:{port}", "a") as connected:
        await until(lambda: service.is_client_connected("a"))
        listed = await asyncio.to_thread(list_agents, CONFIG, f"127.0.0.1:{port}", BOUND_SECONDS)
        assert [(one["service"], one["agent_id"]) for one in listed] == [("(not registered)", "a")]
        await server.drain(1.0)
        assert await connected.status() == (grpc.StatusCode.UNAVAILABLE, DRAINING.sentence)
