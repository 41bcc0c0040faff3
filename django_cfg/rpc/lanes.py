"""Where a call's thread-sensitive database work runs: leased lanes, each one thread with its own connections.

Django sends the synchronous side of its async ORM to one thread per "thread-sensitive context". One thread for all
calls makes every query wait for every other; a thread per call opens connections without end. A lane is leased at a
call's first database use and kept to its end, so a call sees one connection throughout, and a call that touches no
database never waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections, connections, reset_queries

__all__ = ["Lanes"]

logger = logging.getLogger("django_cfg.rpc")

_T = TypeVar("_T")


class Lanes:
    """A bounded set of database threads, started when first needed."""

    def __init__(self, count: int = 8) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._idle: list[ThreadPoolExecutor] = []
        self._all: list[ThreadPoolExecutor] = []
        self._waiting: deque[_CallThread] = deque()
        self._closed = False

    def use(self) -> AbstractContextManager[None]:
        """Route the thread-sensitive work of the current context to a lane of its own; enter it in the call's own task.

        Where a synchronous caller waits for this event loop (WSGI, Django's TestCase), its thread does that work
        instead, as everywhere in Django: it has the request's connection, or the test's transaction.
        """
        waited_for = AsyncToSync.loop_thread_executors
        if waited_for and asyncio.get_running_loop() in waited_for:
            return contextlib.nullcontext()
        return _Use(self)

    @property
    def leased(self) -> int:
        """How many lanes are in use now."""
        with self._lock:
            return len(self._all) - len(self._idle)

    def close(self) -> None:
        """Close the connections of idle lanes and end their threads; a busy lane ends when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._all = [lane for lane in self._all if lane not in idle]
        for lane in idle:
            _end(lane)

    def lease(self, thread: _CallThread) -> None:
        """Hand a lane to `thread` now, or as soon as one is given back."""
        with self._lock:
            lane = self._idle.pop() if self._idle else self._start_lane()
            if lane is None:
                self._waiting.append(thread)
                return
        thread.start_on(lane)

    def give_back(self, lane: ThreadPoolExecutor) -> None:
        """Clean the lane on its own thread, then pass it on; work that still runs there delays this."""
        lane.submit(self._clean, lane)

    def forget(self, thread: _CallThread) -> None:
        """`thread` no longer waits for a lane."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(thread)

    def run_alone(self, work: _Work) -> None:
        """Lease a lane for one piece of work: it comes from a task that has outlived its call."""
        thread = _CallThread(self)
        thread.take(work)
        thread.end()

    def _start_lane(self) -> ThreadPoolExecutor | None:
        if len(self._all) >= self._count:
            return None
        lane = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"rpc-lane-{len(self._all)}")
        self._all.append(lane)
        return lane

    def _clean(self, lane: ThreadPoolExecutor) -> None:
        try:
            reset_queries()
            close_old_connections()
        except Exception:
            logger.exception("a database connection could not be closed")
        with self._lock:
            following = self._waiting.popleft() if self._waiting else None
            idle = following is None and not self._closed
            if idle:
                self._idle.append(lane)
            elif following is None:
                self._all.remove(lane)
        if following is not None:
            following.start_on(lane)
        elif not idle:
            _end(lane)


class _Use:
    """A generator would cost a call without a database twice as much."""

    __slots__ = ("_thread", "_token")

    def __init__(self, lanes: Lanes) -> None:
        self._thread = _CallThread(lanes)

    def __enter__(self) -> None:
        key = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[key] = self._thread
        self._token = SyncToAsync.thread_sensitive_context.set(key)

    def __exit__(self, *_: object) -> None:
        SyncToAsync.thread_sensitive_context.reset(self._token)
        self._thread.end()


class _CallThread(Executor):
    """What one call takes for its thread: queues work until a lane is there, then passes it on in order."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._lock = threading.Lock()
        self._lane: ThreadPoolExecutor | None = None
        self._queued: deque[_Work] = deque()
        self._asked = False
        self._ended = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        work = _Work(fn, args, kwargs)
        self.take(work)
        # A cancelled call ends before the cancellation has come through to here.
        work.future.add_done_callback(lambda _: self._leave_if_idle())
        return work.future

    def take(self, work: _Work) -> None:
        with self._lock:
            ended, ask = self._ended, not self._asked
            if not ended:
                self._asked = True
                self._put(work)
        if ended:
            self._lanes.run_alone(work)
        elif ask:
            self._lanes.lease(self)

    def _put(self, work: _Work) -> None:
        if self._lane is None:
            self._queued.append(work)
        else:
            self._lane.submit(work.run)

    def start_on(self, lane: ThreadPoolExecutor) -> None:
        with self._lock:
            self._lane = lane
            for work in self._queued:
                lane.submit(work.run)
            self._queued.clear()
            ended = self._ended
        if ended:
            self._lanes.give_back(lane)

    def end(self) -> None:
        """Give the lane back once what was submitted has run."""
        with self._lock:
            self._ended = True
            lane = self._lane
        if lane is not None:
            self._lanes.give_back(lane)

    def _leave_if_idle(self) -> None:
        """Nobody waits for a lane with nothing left to do."""
        with self._lock:
            idle = self._ended and self._lane is None and all(work.future.cancelled() for work in self._queued)
        if idle:
            self._lanes.forget(self)


class _Work:
    """One submitted function with the future that its submitter holds."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future: Future[Any] = Future()
        self._call = (fn, args, kwargs)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        fn, args, kwargs = self._call
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _end(lane: ThreadPoolExecutor) -> None:
    lane.submit(connections.close_all)
    lane.shutdown(wait=False)
