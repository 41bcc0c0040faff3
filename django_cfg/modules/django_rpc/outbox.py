"""Endings on their way to Redis: whatever has ended while one batch is under way makes the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.connecting import FAILURES, is_missing_script
from django_cfg.modules.django_rpc.direct import DirectRedis
from django_cfg.modules.django_rpc.endings import Ending, finish_command
from django_cfg.modules.django_rpc.faults import shown
from django_cfg.modules.django_rpc.liveness import Liveness
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.server_metrics import StreamMetrics
from django_cfg.rpc import metrics
from django_cfg.rpc.logs import about

__all__ = ["Outbox"]

logger = logging.getLogger("django_cfg.rpc.redis")

BATCH = 256


class Outbox:
    """Tries until Redis takes them: how many there can be is bounded by the entries that are open.

    The lease is confirmed before each batch, and `still_owned(entry_id)` asked for each ending after that.
    """

    def __init__(
        self,
        client: DirectRedis,
        keys: Keys,
        *,
        liveness: Liveness,
        observed: StreamMetrics,
        reply_ttl: int,
        still_owned: Callable[[str], bool],
        on_done: Callable[[Sequence[str]], None],
    ) -> None:
        self._client = client
        self._keys = keys
        self._liveness = liveness
        self._observed = observed
        self._reply_ttl = reply_ttl
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
            self._on_done([ending.entry_id for ending in batch])

    async def _send(self, batch: list[Ending]) -> None:
        attempt = 0
        while True:
            try:
                await self._liveness.confirm()
                owned = [ending for ending in batch if self._still_owned(ending.entry_id)]
                if owned:
                    await self._finish(owned)
            except FAILURES as error:
                attempt += 1
                logger.warning("%d replies wait for Redis: %s", len(batch), shown(error), extra=self._about())
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                return

    async def _finish(self, batch: list[Ending]) -> None:
        command = finish_command(batch, self._keys, self._liveness.consumer, self._reply_ttl)
        gone, *errors = await self._run(command)
        if gone:  # taken over by others meanwhile, or ended by the same command, whose answer was lost
            logger.warning("%d entries were no longer this server's to answer", gone, extra=self._about())
        for error in errors:  # a reply list that is no list, say; the others have arrived
            logger.error("Redis refused part of a reply: %r", error, extra=self._about())
        if metrics.ENABLED:
            self._observed.ended(batch)

    def _about(self) -> dict[str, str]:
        return about(server=self._liveness.consumer)

    async def _run(self, command: tuple[str | bytes | int, ...]) -> Any:
        try:
            return await self._client.run(*command)
        except FAILURES as error:
            if not is_missing_script(error):
                raise
            return await self._client.run("EVAL", scripts.FINISH, *command[2:])
