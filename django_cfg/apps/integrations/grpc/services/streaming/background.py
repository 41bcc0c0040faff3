"""Tasks that nobody awaits, kept alive until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["Background"]


class Background:
    """The event loop itself holds its tasks only weakly."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, timeout_seconds: float) -> None:
        """Wait for all that run now and what they start; cancel what is left then."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        others = self._others()
        while others and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(others, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            others = self._others()
        for task in others:
            task.cancel()

    def _others(self) -> set[asyncio.Task[Any]]:
        return self._tasks - {asyncio.current_task()}
