"""Where a call's thread-sensitive database work runs: leased lanes, each one thread with its own connections.

Django sends the synchronous side of its async ORM to one thread per "thread-sensitive context". One thread for all calls makes every
query wait for every other; a thread per call opens connections without end. A lane is leased at a call's first database use and kept
to its end, so a call sees one connection throughout, and a call that touches no database never waits for one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections, connections, reset_queries

__all__ = ["Lanes"]

_T = TypeVar("_T")


class Lanes:
    """A bounded set of database threads, started when first needed."""

    def __init__(self, count: int = 8) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._idle: list[ThreadPoolExecutor] = []
        self._all: list[ThreadPoolExecutor] = []
        self._waiting: deque[_CallThread] = deque()

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Route the thread-sensitive work of the current context to a lane of its own; enter it in the call's own task."""
        thread = _CallThread(self)
        key = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[key] = thread
        token = SyncToAsync.thread_sensitive_context.set(key)
        try:
            yield
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
            thread.end()

    @property
    def leased(self) -> int:
        """How many lanes are in use now."""
        with self._lock:
            return len(self._all) - len(self._idle)

    def close(self) -> None:
        """Close the connections of idle lanes and end their threads; a busy lane ends after its work."""
        for lane in self._all:
            lane.submit(connections.close_all)
            lane.shutdown(wait=False)

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
        finally:
            with self._lock:
                following = self._waiting.popleft() if self._waiting else None
                if following is None:
                    self._idle.append(lane)
            if following is not None:
                following.start_on(lane)


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
        with self._lock:
            if self._ended:
                raise RuntimeError("the call has ended: its database thread takes no more work")
            ask = not self._asked
            self._asked = True
            if self._lane is None:
                self._queued.append(work)
            else:
                self._lane.submit(work.run)
        if ask:
            self._lanes.lease(self)
        return work.future

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
        """Give the lane back once what was submitted has run; work that never started is cancelled."""
        with self._lock:
            self._ended = True
            lane = self._lane
            for work in self._queued:
                work.future.cancel()
        if lane is not None:
            self._lanes.give_back(lane)
        elif self._asked:
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
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future, as in ThreadPoolExecutor
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
