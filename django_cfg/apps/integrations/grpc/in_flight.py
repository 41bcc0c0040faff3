"""Calls that run now, for whoever waits until none does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType

__all__ = ["InFlight"]


class InFlight:
    """Entered by each call; for one event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        self.count += 1
        self._none.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.count -= 1
        if not self.count:
            self._none.set()

    async def over(self, timeout_seconds: float) -> None:
        """Returns when none runs any more, or that time has passed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), timeout_seconds)
