"""Endings on their way to Redis: whatever has ended while one batch is under way makes the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from django_cfg.modules.django_rpc.connecting import FAILURES, AsyncRedis
from django_cfg.modules.django_rpc.endings import Ending, batch_commands
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import Keys

__all__ = ["Outbox"]

logger = logging.getLogger("django_cfg.rpc.redis")

BATCH = 256


class Outbox:
    """Tries until Redis takes them: how many there can be is bounded by the entries that are open.

    `confirm()` is awaited before each batch, and `still_owned(entry_id)` asked for each ending after it.
    """

    def __init__(
        self,
        client: AsyncRedis,
        keys: Keys,
        *,
        confirm: Callable[[], Awaitable[None]],
        still_owned: Callable[[str], bool],
        on_done: Callable[[str], None],
    ) -> None:
        self._client = client
        self._keys = keys
        self._confirm = confirm
        self._still_owned = still_owned
        self._on_done = on_done
        self._queue: deque[Ending] = deque()
        self._sender: asyncio.Task[None] | None = None

    def add(self, ending: Ending) -> None:
        self._queue.append(ending)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_all())

    async def flush(self, timeout_seconds: float) -> bool:
        """Whether everything has been sent in that time."""
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=timeout_seconds)
        return not self._queue and (self._sender is None or self._sender.done())

    def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()

    async def _send_all(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            await self._send(batch)
            for ending in batch:
                self._on_done(ending.entry_id)

    async def _send(self, batch: list[Ending]) -> None:
        attempt = 0
        while True:
            try:
                await self._confirm()
                owned = [ending for ending in batch if self._still_owned(ending.entry_id)]
                if owned:
                    await self._execute(owned)
            except FAILURES as error:
                attempt += 1
                logger.warning("%d replies wait for Redis: %r", len(batch), error)
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                return

    async def _execute(self, batch: list[Ending]) -> None:
        for answer in await self._client.batch(batch_commands(batch, self._keys), atomic=True):
            if isinstance(answer, Exception):  # a reply list that is no list, say; the others have arrived
                logger.error("Redis refused part of a reply: %r", answer)
