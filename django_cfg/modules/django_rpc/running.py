"""Running a server in the foreground: its signals, and several processes of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Protocol

from django.db import connections

from django_cfg.rpc.leaving import leave_at_next_interrupt
from django_cfg.rpc.logs import about

__all__ = ["Runnable", "run_processes", "run_until_stopped"]

logger = logging.getLogger("django_cfg.rpc.redis")

STOPPING = (signal.SIGTERM, signal.SIGINT)
RESTART_SECONDS = 1.0
PARENT_SECONDS = 0.5


class Runnable(Protocol):
    def stop(self) -> None: ...

    async def ready(self) -> None: ...

    async def run(self) -> bool: ...


async def run_until_stopped(server: Runnable, on_ready: Callable[[], None]) -> bool:
    """Whether the server ended in order after SIGTERM or SIGINT; `on_ready` is called when it takes calls."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.stop()
        leave_at_next_interrupt()

    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    announcing = loop.create_task(_announce(server, on_ready))
    try:
        return await server.run()
    finally:
        announcing.cancel()
        for number in STOPPING:  # a further one changes nothing: this process ends
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _announce(server: Runnable, on_ready: Callable[[], None]) -> None:
    await server.ready()
    on_ready()


def run_processes(count: int, work: Callable[[int], int]) -> int:
    """The exit status of `work(0)`, or of the worst of `count` processes of it; one that dies is replaced."""
    return work(0) if count == 1 else _Family(work).run(count)


class _Family:
    """Forked before any thread or connection exists; a child ends in order also when its parent was killed."""

    def __init__(self, work: Callable[[int], int]) -> None:
        self._work = work
        self._children: dict[int, int] = {}
        self._stopping = False

    def run(self, count: int) -> int:
        connections.close_all()
        previous = {number: signal.signal(number, self._stop) for number in STOPPING}
        try:
            for index in range(count):
                self._fork(index)
            return self._watch()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _fork(self, index: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = index
            if self._stopping:  # the signal came between the fork and this line
                os.kill(pid, signal.SIGTERM)
            return
        for number in STOPPING:
            signal.signal(number, _leave)
        if self._stopping:  # the signal came here before that
            os._exit(0)
        threading.Thread(target=_end_with, args=(parent,), name="rpc-parent", daemon=True).start()
        status = 1
        try:
            status = self._work(index)
        except Exception:
            logger.exception("a server process failed", extra=about())
        finally:
            os._exit(status)

    def _watch(self) -> int:
        worst = 0
        while self._children:
            pid, status = os.wait()
            index = self._children.pop(pid, None)
            if index is None:  # as the first process of a container it inherits those of others
                continue
            code = os.waitstatus_to_exitcode(status)
            if not self._stopping:
                time.sleep(RESTART_SECONDS)  # also for a signal to all, which may have come there first
            if self._stopping:
                worst = max(worst, abs(code))
            else:
                text = "server process %d ended with status %d; another takes its place"
                logger.error(text, pid, code, extra=about())
                self._fork(index)
        return worst

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for pid in tuple(self._children):
            with suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(pid, number)


def _leave(number: int, frame: FrameType | None) -> None:
    """A child that does not serve yet has nothing to finish."""
    os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
