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

    __slots__ = ("__weakref__", "_begun", "_count", "_done", "_started", "call", "deadline", "task")

    def __init__(self, call: Call, done: Callable[[Reply], None], count: Callable[[Call, Reply, float], None]) -> None:
        self.call = call
        self._started = time.monotonic()
        self.deadline = self._started + call.timeout_seconds
        self._done: Callable[[Reply], None] | None = done
        self._count = count
        self._begun = False
        self.task: asyncio.Task[None] | None = None

    @property
    def answered(self) -> bool:
        return self._done is None

    def begin(self) -> bool:
        """The task's first step; False where nothing is left to do, for somebody has answered already."""
        self._begun = True
        return not self.answered

    def settle(self, reply: Reply) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._count(self.call, reply, time.monotonic() - self._started)
        done(reply)

    def cut(self, reply: Reply) -> None:
        """Answer in the place of the handler, and cancel it: not before its first step, or it would never have one."""
        self.settle(reply)
        if self._begun and self.task is not None:
            self.task.cancel()
