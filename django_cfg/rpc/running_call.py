"""One call between its start and its reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from django_cfg.rpc.call import Call, Reply

__all__ = ["RunningCall"]


class RunningCall:
    """Is answered once: by its handler, at its deadline, or when the process ends, whichever comes first.

    `count(call, reply, seconds)` hears the reply before `done(reply)`.
    """

    __slots__ = ("__weakref__", "_count", "_done", "_started", "call", "deadline", "task")

    def __init__(self, call: Call, done: Callable[[Reply], None], count: Callable[[Call, Reply, float], None]) -> None:
        self.call = call
        self._started = time.monotonic()
        self.deadline = self._started + call.timeout_seconds
        self._done: Callable[[Reply], None] | None = done
        self._count = count
        self.task: asyncio.Task[None] | None = None

    @property
    def answered(self) -> bool:
        return self._done is None

    def settle(self, reply: Reply) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._count(self.call, reply, time.monotonic() - self._started)
        done(reply)

    def cut(self, reply: Reply) -> None:
        """Answer in the handler's place, and cancel it."""
        self.settle(reply)
        if self.task is not None:
            self.task.cancel()
