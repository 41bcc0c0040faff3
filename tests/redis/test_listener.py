"""Who hears broadcasts goes on hearing them, whatever they are and however long their delivery takes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from django_cfg.modules.django_rpc import listener
from django_cfg.modules.django_rpc.broadcasts import BROADCAST_CHANNEL
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.listener import listening
from tests.redis.wire import BOUND_SECONDS, STREAM

LEASE = f"rpc:listener:{BROADCAST_CHANNEL}:{STREAM}"


class Browsers:
    """`gate` holds deliveries up."""

    def __init__(self) -> None:
        self.reached: asyncio.Queue[Any] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()

    async def to_user(self, user_id: str, event: str, data: Any) -> int:
        raise NotImplementedError

    async def to_room(self, room: str, event: str, data: Any) -> int:
        raise NotImplementedError

    async def to_all(self, event: str, data: Any) -> int:
        await self.gate.wait()
        self.reached.put_nowait(data)
        return 1

    async def next(self) -> Any:
        return await asyncio.wait_for(self.reached.get(), BOUND_SECONDS)


async def until(condition: Any) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - Redis changes it
            await asyncio.sleep(0.02)


def publish(redis: Any, payload: Any) -> None:
    redis.publish(BROADCAST_CHANNEL, json.dumps({"target": "all", "event_type": "e", "payload": payload}))


async def test_a_broadcast_that_cannot_be_written_costs_no_other(config: WebSocketRPCConfig, redis: Any) -> None:
    browsers = Browsers()
    async with listening(config, browsers):
        await until(lambda: redis.exists(LEASE))
        for payload in ({"x": float("nan")}, {"x": {"y": [float("inf")]}}, {"n": 1}):
            publish(redis, payload)

        assert await browsers.next() == {"n": 1}


async def test_a_slow_delivery_costs_neither_the_lease_nor_what_comes_meanwhile(
    config: WebSocketRPCConfig, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LEASE_MS", 400)
    monkeypatch.setattr(listener, "TURN_SECONDS", 0.05)
    browsers, others = Browsers(), Browsers()
    browsers.gate.clear()
    async with listening(config, browsers):
        await until(lambda: redis.exists(LEASE))
        leader = redis.get(LEASE)
        async with listening(config, others):
            await until(lambda: redis.pubsub_numsub(BROADCAST_CHANNEL)[0][1] == 2)
            publish(redis, {"n": 1})
            end = asyncio.get_running_loop().time() + 1.0
            await until(lambda: asyncio.get_running_loop().time() > end)
            publish(redis, {"n": 2})
            assert redis.get(LEASE) == leader
            browsers.gate.set()

            assert [await browsers.next(), await browsers.next()] == [{"n": 1}, {"n": 2}]
    assert others.reached.empty()
