"""Handlers that answer a test in its own process do their database work in its thread, as everywhere in Django.

No other thread sees the transaction in which Django's TestCase runs, and one in SQLite's memory it even locks.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync
from django.db import connections

__all__ = ["TestingThread", "in_test_case", "lent", "lent_by_async_test"]

_T = TypeVar("_T")
_executors: dict[asyncio.AbstractEventLoop, Any] = AsyncToSync.loop_thread_executors


def in_test_case() -> bool:
    """Whether a TestCase has opened a transaction in this thread."""
    blocks = (block for connection in connections.all(initialized_only=True) for block in connection.atomic_blocks)
    return any(getattr(block, "_from_testcase", False) for block in blocks)


@asynccontextmanager
async def lent_by_async_test(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
    """`lent`, where a TestCase waits in its thread for the running event loop; nothing otherwise, and in `loop`."""
    running = asyncio.get_running_loop()
    thread: Any = None if running is loop else _executors.get(running)
    if thread is None or not await running.run_in_executor(thread, in_test_case):
        yield
        return
    before = await running.run_in_executor(thread, _noted)
    try:
        with lent(loop, thread):
            yield
    finally:
        await running.run_in_executor(thread, _note, before)


@contextmanager
def lent(loop: asyncio.AbstractEventLoop, thread: Any) -> Generator[None]:
    """Calls that begin in `loop` meanwhile do their database work in that thread."""
    before = _executors.get(loop)
    _executors[loop] = thread
    try:
        yield
    finally:
        if before is None:
            del _executors[loop]
        else:
            _executors[loop] = before


def _noted() -> dict[str, Any]:
    """What asgiref notes in a thread: the loop whose work it does, to which `async_to_sync` hands what comes later."""
    return dict(SyncToAsync.threadlocal.__dict__)


def _note(before: dict[str, Any]) -> None:
    SyncToAsync.threadlocal.__dict__.clear()
    SyncToAsync.threadlocal.__dict__.update(before)


class TestingThread(Executor):
    """The thread that makes it, while that is in `work`."""

    __test__ = False  # it is none of pytest's classes

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._over = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        future: Future[_T] = Future()
        with self._lock:
            if self._over:
                raise RuntimeError("the test waits no longer for the call that this work belongs to")
            self._queue.put(partial(_run, future, partial(fn, *args, **kwargs)))
        return future

    def release(self) -> None:
        """`work` returns; from any thread."""
        self._queue.put(None)

    def work(self, seconds: float) -> None:
        """Until it is released, at most so long; what has been submitted by then is done."""
        before = _noted()
        try:
            self._work_until(time.monotonic() + seconds)
            with self._lock:
                self._over = True
            while not self._queue.empty():
                if work := self._queue.get():
                    work()
        finally:
            _note(before)

    def _work_until(self, deadline: float) -> None:
        with suppress(queue.Empty):
            while work := self._queue.get(timeout=max(0.0, deadline - time.monotonic())):
                work()


def _run(future: Future[_T], work: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future
        future.set_exception(error)
    else:
        future.set_result(result)
