"""A server's word that it lives, and whether it may still speak for its entries.

Others take over the entries of a server that has been silent too long. One that was merely paused must find that out
before it answers: so its own lease ends a fifth before theirs, and after a lapse it asks what is still its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.connecting import FAILURES, AsyncRedis
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.redis_clock import RedisClock

__all__ = ["Liveness"]

LEASE_SHARE = 0.8
FORGOTTEN_SECONDS = 86_400
MOST_OWN_ENTRIES = 100_000


class Liveness:
    """`on_lapse(owned)` hears which entries are still this consumer's own after a silence."""

    def __init__(
        self,
        client: AsyncRedis,
        keys: Keys,
        consumer: str,
        *,
        timeout_seconds: float,
        on_lapse: Callable[[set[str]], None],
    ) -> None:
        self.clock = RedisClock()
        self._client = client
        self._keys = keys
        self.consumer = consumer
        self._timeout_seconds = timeout_seconds
        self._on_lapse = on_lapse
        self._until = 0.0
        self._draining = False
        self._lock = asyncio.Lock()

    @property
    def held(self) -> bool:
        """Whether others still leave this server's entries alone, as far as its own clock can tell."""
        return time.monotonic() < self._until

    def drain(self) -> None:
        """From the next renewal on this server counts as alive, but not as one that answers."""
        self._draining = True

    async def renew(self) -> None:
        """Raises RedisError."""
        async with self._lock:
            await self._renew()

    async def confirm(self) -> None:
        """Returns when the lease is held; raises RedisError."""
        if not self.held:
            async with self._lock:
                if not self.held:
                    await self._renew()

    async def join(self) -> None:
        """Create the stream, the group and this consumer where they are missing; raises RedisError."""
        await self.renew()
        try:
            await self._run("XGROUP", "CREATE", self._keys.stream, self._keys.group, "0", "MKSTREAM")
        except FAILURES as error:
            if "BUSYGROUP" not in str(error):
                raise
        await self._run("XGROUP", "CREATECONSUMER", self._keys.stream, self._keys.group, self.consumer)

    async def leave(self) -> None:
        """This consumer ends; raises RedisError."""
        await self._run(
            "EVAL", scripts.LEAVE, 2, self._keys.stream, self._keys.servers, self._keys.group, self.consumer
        )

    async def _renew(self) -> None:
        sent = time.monotonic()
        sign = -1 if self._draining else 1
        seconds, microseconds = await self._run(
            "EVAL", scripts.ALIVE, 1, self._keys.servers, self.consumer,
            int(self._timeout_seconds * 1000), FORGOTTEN_SECONDS, sign,
        )  # fmt: skip
        self.clock.sample(sent, time.monotonic(), int(seconds) + int(microseconds) / 1e6)
        if self._until and sent >= self._until:
            self.clock.reset()
            self.clock.sample(sent, time.monotonic(), int(seconds) + int(microseconds) / 1e6)
            self._on_lapse(await self._owned())
        self._until = sent + self._timeout_seconds * LEASE_SHARE

    async def _owned(self) -> set[str]:
        try:
            rows = await self._run(
                "XPENDING", self._keys.stream, self._keys.group, "-", "+", MOST_OWN_ENTRIES, self.consumer
            )
        except FAILURES as error:
            if "NOGROUP" not in str(error):
                raise
            return set()
        return {row[0].decode() for row in rows}

    async def _run(self, *command: str | int) -> Any:
        return await self._client.run(*command)
