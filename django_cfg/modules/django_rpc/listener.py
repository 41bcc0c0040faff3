"""`rpc.broadcast` reaches browsers: of all servers that hear a message, the one that holds the lease delivers it."""

from __future__ import annotations

import asyncio
import logging

from pydantic import ValidationError

from django_cfg.errors import PublishError
from django_cfg.models.websocket import BroadcastRequest
from django_cfg.modules.django_rpc.builtin import Delivery, broadcast
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import FAILURES, AsyncRedis, consumer_name
from django_cfg.modules.django_rpc.pause import backoff_seconds

__all__ = ["BROADCAST_CHANNEL", "BroadcastListener"]

logger = logging.getLogger("django_cfg.rpc.redis")

BROADCAST_CHANNEL = "notifications:broadcast"
LEASE_MS = 5000
TURN_SECONDS = 1.0


class BroadcastListener:
    """Pub/Sub keeps nothing: what is published while no server listens, or its lease passes on, reaches nobody."""

    def __init__(self, config: WebSocketRPCConfig, delivery: Delivery) -> None:
        self._redis = AsyncRedis(config, 2)
        self._delivery = delivery
        self._name = consumer_name("listener")
        self._lease = f"rpc:listener:{BROADCAST_CHANNEL}"
        self._leads = False

    async def run(self) -> None:
        """Until it is cancelled."""
        attempt = 0
        try:
            while True:
                try:
                    await self._listen()
                except FAILURES as error:
                    attempt += 1
                    logger.warning("broadcasts cannot be heard: %r", error)
                    await asyncio.sleep(backoff_seconds(attempt))
        finally:
            await self._leave()

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(BROADCAST_CHANNEL)
            while True:
                await self._renew()
                message = await pubsub.get_message(timeout=TURN_SECONDS)
                if message is not None and self._leads:
                    await self._deliver(message["data"])

    async def _renew(self) -> None:
        """Every turn, at least once a second."""
        holder = await self._redis.run("SET", self._lease, self._name, "NX", "GET", "PX", LEASE_MS)
        self._leads = holder is None or holder.decode() == self._name
        if self._leads:
            await self._redis.run("PEXPIRE", self._lease, LEASE_MS)

    async def _deliver(self, data: bytes) -> None:
        try:
            await broadcast(self._delivery, BroadcastRequest.model_validate_json(data))
        except ValidationError as error:
            logger.warning("a broadcast is no BroadcastRequest: %d faults", error.error_count())
        except PublishError as error:
            logger.warning("a broadcast did not reach browsers: %s", error)

    async def _leave(self) -> None:
        try:
            if self._leads:
                await self._redis.run("DEL", self._lease)
            await self._redis.close()
        except FAILURES as error:
            logger.info("the lease of broadcasts ends by itself: %r", error)
