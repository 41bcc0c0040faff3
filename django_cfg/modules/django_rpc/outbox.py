"""Endings on their way to Redis: whatever has ended while one batch is under way makes the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

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

_Sent: TypeAlias = asyncio.Future[list[Any]]
"""What `DirectRedis.start` has returned."""


class Outbox:
    """Tries until Redis takes them: how many there can be is bounded by the entries that are open.

    The lease is confirmed before each batch, and `still_owned(entry_id)` asked for each ending after that. Where
    `is_lone()`, an ending waits for no other.
    """

    def __init__(
        self,
        client: DirectRedis,
        keys: Keys,
        *,
        liveness: Liveness,
        observed: StreamMetrics,
        reply_ttl: int,
        is_lone: Callable[[], bool],
        still_owned: Callable[[str], bool],
        on_done: Callable[[Sequence[str]], None],
    ) -> None:
        self._client = client
        self._keys = keys
        self._liveness = liveness
        self._observed = observed
        self._reply_ttl = reply_ttl
        self._is_lone = is_lone
        self._still_owned = still_owned
        self._on_done = on_done
        self._queue: deque[Ending] = deque()
        self._sender: asyncio.Task[None] | None = None

    def add(self, ending: Ending) -> None:
        self._queue.append(ending)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_all(self._start_lone()))

    async def flush(self, timeout_seconds: float) -> bool:
        """Whether everything has been sent in that time."""
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=timeout_seconds)
        return not self._queue and (self._sender is None or self._sender.done())

    def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()

    def _start_lone(self) -> _Sent | None:
        """A lone call's reply leaves within the handler's turn of the loop: its caller waits for nothing else."""
        if not self._is_lone() or not self._liveness.held or not self._still_owned(self._queue[0].entry_id):
            return None
        return self._client.start(*self._command([self._queue[0]]))

    async def _send_all(self, sent: _Sent | None) -> None:
        """`sent`: the first ending is on its way already."""
        while self._queue:
            count = 1 if sent is not None else min(BATCH, len(self._queue))
            batch = [self._queue.popleft() for _ in range(count)]
            await self._send(batch, sent)
            sent = None
            self._on_done([ending.entry_id for ending in batch])

    async def _send(self, batch: list[Ending], sent: _Sent | None) -> None:
        attempt = 0
        while True:
            try:
                await self._send_once(batch, sent)
            except FAILURES as error:
                attempt += 1
                sent = None
                logger.warning("%d replies wait for Redis: %s", len(batch), shown(error), extra=self._about())
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                return

    async def _send_once(self, batch: list[Ending], sent: _Sent | None) -> None:
        if sent is None:
            await self._liveness.confirm()
            batch = [ending for ending in batch if self._still_owned(ending.entry_id)]
        if batch:
            self._note(batch, await self._answer(batch, sent))

    async def _answer(self, batch: list[Ending], sent: _Sent | None) -> Any:
        try:
            return await self._client.run(*self._command(batch)) if sent is None else self._client.answer(await sent)
        except FAILURES as error:
            if not is_missing_script(error):
                raise
            return await self._client.run("EVAL", scripts.FINISH, *self._command(batch)[2:])

    def _command(self, batch: list[Ending]) -> tuple[str | bytes | int, ...]:
        return finish_command(batch, self._keys, self._liveness.consumer, self._reply_ttl)

    def _note(self, batch: list[Ending], answer: Any) -> None:
        gone, *errors = answer
        if gone:  # taken over by others meanwhile, or ended by the same command, whose answer was lost
            logger.warning("%d entries were no longer this server's to answer", gone, extra=self._about())
        for error in errors:  # a reply list that is no list, say; the others have arrived
            logger.error("Redis refused part of a reply: %r", error, extra=self._about())
        if metrics.ENABLED:
            self._observed.ended(batch)

    def _about(self) -> dict[str, str]:
        return about(server=self._liveness.consumer)
