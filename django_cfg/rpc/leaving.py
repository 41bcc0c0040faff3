"""The end of the process, which Python puts off for as long as any thread of the application still works."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupt_once", "leave_at_next_interrupt", "leave_soon", "leaving_soon"]

EXIT_SECONDS = 3.0

SAME_SECONDS = 1.0
"""Within which a second CONTROL-C is taken for the first: a terminal tells all processes, and their parents pass it on.
"""

INTERRUPTED = 128 + signal.SIGINT
"""The status with which shells show a process that CONTROL-C has ended."""


def leave_soon(status: int) -> None:
    """Let the process end by itself; if it has not within three seconds, end it in the middle of what threads do."""
    timer = threading.Timer(EXIT_SECONDS, _leave, (status,))
    timer.daemon = True
    timer.start()


@contextmanager
def leaving_soon() -> Generator[None]:
    """`leave_soon` at the end of the block, which is the end of the process, with the status that it ends with."""
    status = 0
    try:
        yield
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0
        raise
    finally:
        leave_soon(status)


def leave_at_next_interrupt() -> None:
    """A further CONTROL-C ends the process at once, as a kill would, instead of waiting for what runs.

    Called in the main thread when the first signal has come; further times change nothing.
    """
    if not isinstance(signal.getsignal(signal.SIGINT), _GivingUp):
        signal.signal(signal.SIGINT, _GivingUp())


def interrupt_once() -> None:
    """From now on CONTROL-C raises KeyboardInterrupt once: its second one would interrupt what the first one began.

    Called in the main thread.
    """
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    leave_at_next_interrupt()
    raise KeyboardInterrupt


class _GivingUp:
    def __init__(self) -> None:
        self._first = time.monotonic()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() - self._first >= SAME_SECONDS:
            _leave(INTERRUPTED, "a second CONTROL-C: the process ends without finishing what it runs")


def _leave(status: int, why: str = "a thread has not returned; the process ends without it") -> None:
    try:
        sys.stderr.write(f"{why}\n")
        sys.stderr.flush()
        sys.stdout.flush()
    finally:  # whoever read that may be gone
        os._exit(status)
