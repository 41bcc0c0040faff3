"""The end of the process, which Python puts off for as long as any thread of the application still works."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["leave_soon", "leaving_soon"]

EXIT_SECONDS = 3.0


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


def _leave(status: int) -> None:
    try:
        sys.stderr.write("a thread has not returned; the process ends without it\n")
        sys.stderr.flush()
        sys.stdout.flush()
    finally:  # whoever read that may be gone
        os._exit(status)
