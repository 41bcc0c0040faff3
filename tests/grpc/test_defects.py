"""Defects of an earlier public implementation of streaming commands, each one a test that fails where it is back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig, PingStrategy
from tests.grpc.streams import Message, Recorder, agent, clog, make_service, one_agent, quiet, served, until


async def test_u1_an_agent_that_is_gone_is_not_connected() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with one_agent(service) as connected:
        await connected.break_off()
        await until(lambda: notes.disconnected)

        assert not service.is_client_connected("a")
        assert await service.send_to_client("a", {"command": "1"}) is False
        assert service.get_active_connections() == {}
        assert service.agents() == []
        assert notes.disconnected == ["a"]


async def test_u2_one_failing_message_does_not_stop_the_others() -> None:
    notes = Recorder()

    async def process(client_id: str, message: Message, queue: Any) -> None:
        if message.get("bad"):
            raise ValueError("cannot be processed")
        await notes.process(client_id, message, queue)

    service = make_service(notes=notes, message_processor=process)
    async with one_agent(service) as connected:
        await connected.say(bad=True)
        await connected.say(echo=1)

        assert await connected.hear() == {"echo": 1}
        assert [str(error) for error in notes.errors] == ["cannot be processed"]


async def test_u3_silence_after_a_ping_ends_the_stream() -> None:
    notes = Recorder()
    config = BidirectionalStreamingConfig(ping_interval=0.05, ping_timeout=0.1)
    service = make_service(config, notes)
    async with one_agent(service) as connected:
        assert await connected.hear() == {"ping": True}
        code, sentence = await connected.status()

        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no message" in sentence
        await until(lambda: notes.disconnected)
        assert not service.is_client_connected("a")


def test_u3_the_default_of_the_ping_timeout_is_six_intervals() -> None:
    assert BidirectionalStreamingConfig(ping_interval=2.0).get_effective_ping_timeout() == 12.0


async def test_u4_a_newer_stream_takes_over() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with served(service) as address, agent(address, "a") as older:
        await until(lambda: service.is_client_connected("a"))
        epoch = service.agents()[0].epoch
        async with agent(address, "a") as newer:
            code, sentence = await older.status()
            await until(lambda: len(notes.connected) == 2)

            assert (code, sentence) == (grpc.StatusCode.ABORTED, "superseded by a newer stream of the same agent")
            assert service.agents()[0].epoch > epoch
            assert notes.disconnected == ["a"], "the older stream's end must not come after the newer one's beginning"
            assert await service.send_to_client("a", {"command": "1"})
            assert await newer.hear() == {"command": "1"}
    assert notes.disconnected == ["a", "a"]


async def test_u5_interval_pings_come_under_traffic_too() -> None:
    service = make_service(BidirectionalStreamingConfig(ping_interval=0.1, ping_timeout=60))
    async with one_agent(service) as connected:
        pings = 0
        while pings < 3:
            assert await service.send_to_client("a", {"command": "1"})
            pings += await connected.hear() == {"ping": True}


async def test_u5_on_idle_no_ping_comes_under_traffic() -> None:
    config = BidirectionalStreamingConfig(ping_strategy=PingStrategy.ON_IDLE, ping_interval=0.5, ping_timeout=60)
    service = make_service(config)
    async with one_agent(service) as connected:
        loop = asyncio.get_running_loop()
        begun = sent = loop.time()
        longest_pause = 0.0
        while sent - begun < 1.2 and longest_pause < 0.4:
            assert await service.send_to_client("a", {"command": "1"})
            assert await connected.hear() == {"command": "1"}
            await asyncio.sleep(0.01)
            longest_pause, sent = max(longest_pause, loop.time() - sent), loop.time()
        assert service.counts.pings == 0 or longest_pause >= 0.4

        assert await connected.hear() == {"ping": True}


async def test_u6_a_half_close_ends_the_stream_with_ok() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with one_agent(service) as connected:
        await connected.say(echo="last")
        await connected.half_close()

        assert await connected.hear() == {"echo": "last"}
        assert (await connected.status())[0] is grpc.StatusCode.OK
        await until(lambda: notes.disconnected == ["a"])


async def test_u7_a_timeout_of_zero_does_not_wait() -> None:
    service = make_service(quiet(max_queue_size=1, queue_timeout=60))
    async with one_agent(service):
        results = [await service.send_to_client("a", {"fill": "x" * 100_000}, timeout=0) for _ in range(1000)]

        assert results[0] is True
        assert results[-1] is False


@pytest.mark.parametrize("mode", ["anext", "async_for"])
async def test_u7_the_connection_timeout_is_the_longest_life_of_a_stream(mode: str) -> None:
    notes = Recorder()
    service = make_service(quiet(connection_timeout=0.2, streaming_mode=mode), notes=notes)
    async with served(service) as address, agent(address, "busy") as busy, agent(address, "quiet") as silent:
        talking = asyncio.create_task(_talk(busy))
        code, sentence = await silent.status()
        await until(lambda: sorted(notes.disconnected) == ["busy", "quiet"])
        talking.cancel()

        assert code is grpc.StatusCode.UNAVAILABLE
        assert "reconnect" in sentence


async def _talk(connected: Any) -> None:
    """A write that meets the end of its stream can hide the status from the writer (grpc/grpc#36066)."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        while True:
            await connected.say(still="here")
            await asyncio.sleep(0.02)


async def test_u7_one_slow_agent_delays_no_broadcast_to_the_others() -> None:
    service = make_service(quiet(max_queue_size=1, queue_timeout=60))
    async with served(service) as address, agent(address, "slow"), agent(address, "quick") as quick:
        await until(lambda: len(service.agents()) == 2)
        await clog(service, "slow")
        broadcast = asyncio.create_task(service.broadcast_to_all({"command": "all"}))

        assert await quick.hear() == {"command": "all"}
        assert not broadcast.done()
        broadcast.cancel()
