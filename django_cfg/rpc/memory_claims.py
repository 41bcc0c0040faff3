"""Claims of one process: the store when no other process serves the same callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django_cfg.rpc.claims import ClaimTable, Decision, Key

__all__ = ["MemoryClaims"]


class MemoryClaims:
    """A ClaimStore over one ClaimTable; may be shared by the event loops of several threads, as under WSGI."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = ClaimTable()
        self._clock = clock
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._table)

    async def claim(
        self, key: Key, mark: bytes, *, lease_seconds: float, keep_seconds: float, idempotent: bool
    ) -> Decision:
        with self._lock:
            return self._table.claim(
                key, mark, self._clock(), lease_seconds=lease_seconds, keep_seconds=keep_seconds, idempotent=idempotent
            )

    async def finish(self, key: Key, reply: bytes) -> None:
        with self._lock:
            self._table.finish(key, reply)
