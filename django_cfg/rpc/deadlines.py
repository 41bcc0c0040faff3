"""When what is under way ends at the latest: one timer for all, since one for each costs more than it is worth."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

__all__ = ["Deadlines", "Limited"]


class Limited(Protocol):
    """`deadline` in monotonic seconds."""

    @property
    def deadline(self) -> float: ...

    @property
    def answered(self) -> bool: ...


T = TypeVar("T", bound=Limited)


class Deadlines(Generic[T]):
    """Calls `expire(call)` for those of `running` that nobody has answered in time; for one event loop."""

    def __init__(self, running: Collection[T], expire: Callable[[T], None]) -> None:
        self._running = running
        self._expire = expire
        self._next = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: T, loop: asyncio.AbstractEventLoop) -> None:
        """It may stay until it is answered."""
        if call.deadline < self._next:
            if self._timer is not None:
                self._timer.cancel()
            self._set(call.deadline, loop)

    def _set(self, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        self._next = deadline
        self._timer = loop.call_later(max(0.0, deadline - time.monotonic()), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next, self._timer = math.inf, None
        now = time.monotonic()
        for call in [call for call in self._running if not call.answered and call.deadline <= now]:
            self._expire(call)
        first = min((call.deadline for call in self._running if not call.answered), default=math.inf)
        if first < self._next:
            self._set(first, loop)
