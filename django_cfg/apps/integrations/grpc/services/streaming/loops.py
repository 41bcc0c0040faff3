"""The event loop that all streams of a service live in, and the way to it from other threads and loops."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from django_cfg.rpc.other_loop import LOOK_AGAIN_SECONDS, result_from
from django_cfg.rpc.running_loop import running_loop

__all__ = ["OwningLoop"]

T = TypeVar("T")


class OwningLoop:
    """Known from the first stream on; a loop that has ended gives way to the next one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def adopt(self, is_free: bool) -> bool:
        """Whether the running loop was not the owner before. Raises RuntimeError if one is that is not free."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return False
        if self.runs and not is_free:
            raise RuntimeError("the streams of one service must all be served by one event loop; use one service each")
        self._loop, self._pid = loop, os.getpid()
        return True

    @property
    def runs(self) -> bool:
        """Never in a forked child: the thread that runs the loop has stayed in the parent."""
        return self._loop is not None and self._loop.is_running() and self._pid == os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether the caller may touch what belongs to the loop."""
        return self._loop is not None and running_loop() is self._loop

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run in the owning loop for a caller in another one. Raises ConnectionError when the owner has ended."""
        return await result_from(self._submit(work), self._check_runs)

    def run_blocking(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As `run`, for a caller without a loop; raises RuntimeError in the owner itself, which it would block."""
        if self.is_here:
            raise RuntimeError("this would block the event loop that serves the streams: await the form without _sync")
        future = self._submit(work)
        try:
            return self._result_of(future)
        except BaseException:
            future.cancel()
            raise

    def _submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        self._check_runs()
        assert self._loop is not None  # noqa: S101 - it runs
        coroutine = work()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:
            coroutine.close()
            raise ConnectionError("the event loop that served the streams has ended") from error

    def _result_of(self, future: Future[T]) -> T:
        while True:
            try:
                return future.result(LOOK_AGAIN_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                self._check_runs()

    def _check_runs(self) -> None:
        if not self.runs:
            raise ConnectionError("no event loop serves streams now")
