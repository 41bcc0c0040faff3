"""A connection all of whose streams are taken: what has not run is said to have not, and the server to be up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.base import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.channels import Method, Times, channel_to
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.commands.retries import Retries
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import PATIENCE_SECONDS, Serving, served
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome
from django_cfg.errors import ServiceUnavailableError

STREAMS = 2
REFUSED = "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))"


class Refused(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return REFUSED

    def trailing_metadata(self) -> tuple[()]:
        return ()


class RefusedTwice:
    """A stub whose method the server has no stream for, twice; `times` is how often it was called."""

    times = 0

    def __init__(self, channel: Any) -> None: ...

    def method(self, request: object, **options: Any) -> str:
        type(self).times += 1
        if self.times <= 2:
            raise Refused
        return "answer"


class RefusedForEver(RefusedTwice):
    def method(self, request: object, **options: Any) -> str:
        raise Refused


def test_a_call_that_was_refused_is_made_again(serving: Serving) -> None:
    channel = channel_to(f"localhost:{serving.port}", get_config())
    assert channel.call(Method(RefusedTwice, "method"), b"", Times(5.0, 5.0)) == "answer"

    with pytest.raises(ServiceUnavailableError, match="takes no more calls at once, nothing has run"):
        channel.call(Method(RefusedForEver, "method"), b"", Times(5.0, 0.2))


async def test_one_answer_to_a_probe_is_enough(serving: Serving) -> None:
    channel = channel_to(f"localhost:{serving.port}", get_config())
    wire, probes = channel._shared, list[object]()  # pyright: ignore[reportPrivateUsage]

    def probe(request: bytes, **options: Any) -> None:
        probes.append(options)

    async def run(call: Any, request: bytes, **options: Any) -> None:
        call(request, **options)

    wire.probe = probe
    channel._connect(1.0)  # pyright: ignore[reportPrivateUsage]
    await channel._aconnect(wire, run, 1.0)  # pyright: ignore[reportPrivateUsage]
    assert probes == [{"timeout": 1.0, "wait_for_ready": True}] * 2


def test_retries_end_with_the_time_of_the_call() -> None:
    retries, now = Retries(100.0), 100.0
    while (again := retries.after_refusal(now, 3.0)) is not None:
        pause, left = again
        assert 0 < pause < left
        assert now + pause + left == pytest.approx(103.0)
        now += pause
    assert 101.0 < now < 103.0


def test_no_connection_is_tried_again_once() -> None:
    retries = Retries(100.0)
    assert retries.after_no_connection(3.0) == (0.0, 3.0)
    assert retries.after_no_connection(3.0) is None


@pytest.fixture
def narrow(settings: Any) -> Iterator[Serving]:
    """Few streams per connection, and an agent that never answers."""
    with served(GRPCConfig(max_concurrent_streams=STREAMS)) as serving:
        settings.GRPC = {"port": serving.port}
        serving.open_stream("mute")
        yield serving


def start() -> pb2.Command:
    return pb2.Command(command_id=new_command_id(), start=pb2.Start())


def wait_for_requests(serving: Serving, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(serving.servicer.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_full_connection_is_a_connection(narrow: Serving) -> None:
    client = FleetCommandClient("mute", config=CommandClientConfig(connect_timeout=0.1, call_timeout=20))
    assert client.send_command_sync(start())
    with ThreadPoolExecutor(STREAMS) as pool:
        waiting = [pool.submit(client.execute_command_sync, start(), 2.0) for _ in range(STREAMS)]
        wait_for_requests(narrow, STREAMS + 1)
        assert client.execute_command_sync(start(), 0.01).outcome is CommandOutcome.TIMED_OUT
        assert not any(one.done() for one in waiting)
        assert client.send_command_sync(start())


async def test_a_full_connection_of_an_event_loop_is_a_connection(narrow: Serving) -> None:
    client = FleetCommandClient("mute", config=CommandClientConfig(connect_timeout=0.1, call_timeout=20))
    assert [await client.send_command(start()) for _ in range(2)] == [True, True]
    waiting = [asyncio.create_task(client.execute_command(start(), 2.0)) for _ in range(STREAMS)]
    await asyncio.to_thread(wait_for_requests, narrow, STREAMS + 2)
    assert (await client.execute_command(start(), 0.01)).outcome is CommandOutcome.TIMED_OUT
    assert not any(one.done() for one in waiting)
    assert await client.send_command(start())
    await asyncio.gather(*waiting)
