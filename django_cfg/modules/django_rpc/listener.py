"""`rpc.broadcast` reaches browsers: of all servers that hear a message, the one that holds the lease delivers it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django_cfg.modules.django_rpc.background import end_tasks
from django_cfg.modules.django_rpc.broadcasts import BROADCAST_CHANNEL, deliver_published
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import FAILURES, AsyncRedis, consumer_name
from django_cfg.modules.django_rpc.faults import shown
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.rpc.delivery import Delivery
from django_cfg.rpc.logs import about

__all__ = ["BroadcastListener", "listening"]

logger = logging.getLogger("django_cfg.rpc.redis")

LEASE_MS = 5000
TURN_SECONDS = 1.0
MOST_WAITING = 1000


class BroadcastListener:
    """Pub/Sub keeps nothing: what is published while no server listens, or its lease passes on, reaches nobody."""

    def __init__(self, config: WebSocketRPCConfig, delivery: Delivery) -> None:
        self._redis = AsyncRedis(config, 2)
        self._delivery = delivery
        self._name = consumer_name("listener")
        self._lease = f"rpc:listener:{BROADCAST_CHANNEL}:{config.request_stream}"
        self._leads = False
        self._attempt = 0
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    async def run(self) -> None:
        """Until it is cancelled."""
        delivering = asyncio.create_task(self._deliver())
        try:
            while True:
                try:
                    await self._listen()
                except FAILURES as error:
                    self._attempt += 1
                    logger.warning("broadcasts cannot be heard: %s", shown(error), extra=about(server=self._name))
                    await asyncio.sleep(backoff_seconds(self._attempt))
        finally:
            await end_tasks([delivering])
            await self._leave()

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(BROADCAST_CHANNEL)
            while True:
                await self._renew()
                self._attempt = 0
                message = await pubsub.get_message(timeout=TURN_SECONDS)
                if message is not None and self._leads:
                    self._take(message["data"])

    def _take(self, message: bytes) -> None:
        if self._waiting.full():
            text = "a broadcast is lost: %d others wait to be delivered"
            logger.error(text, MOST_WAITING, extra=about(server=self._name))
        else:
            self._waiting.put_nowait(message)

    async def _deliver(self) -> None:
        """Beside the listening: a delivery that takes longer than the lease must not cost it."""
        while True:
            await deliver_published(self._delivery, await self._waiting.get())

    async def _renew(self) -> None:
        """Every turn, at least once a second."""
        holder = await self._redis.run("SET", self._lease, self._name, "NX", "GET", "PX", LEASE_MS)
        self._leads = holder is None or holder.decode() == self._name
        if self._leads:
            await self._redis.run("PEXPIRE", self._lease, LEASE_MS)

    async def _leave(self) -> None:
        try:
            if self._leads:
                await self._redis.run("DEL", self._lease)
            await self._redis.close()
        except FAILURES as error:
            logger.info("the lease of broadcasts ends by itself: %s", shown(error), extra=about(server=self._name))


@asynccontextmanager
async def listening(config: WebSocketRPCConfig, delivery: Delivery) -> AsyncGenerator[None]:
    """Hear broadcasts while the block runs."""
    task = asyncio.create_task(BroadcastListener(config, delivery).run())
    try:
        yield
    finally:
        await end_tasks([task])
