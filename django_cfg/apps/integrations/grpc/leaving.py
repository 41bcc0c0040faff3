"""The end of the process, which Python puts off for as long as any thread of the application still works."""

from __future__ import annotations

import os
import sys
import threading

__all__ = ["leave_soon"]

EXIT_SECONDS = 3.0


def leave_soon(status: int) -> None:
    """Let the process end by itself; if it has not within three seconds, end it in the middle of what threads do."""
    timer = threading.Timer(EXIT_SECONDS, _leave, (status,))
    timer.daemon = True
    timer.start()


def _leave(status: int) -> None:
    try:
        sys.stderr.write("a thread of a callback has not returned; the process ends without it\n")
        sys.stderr.flush()
        sys.stdout.flush()
    finally:  # whoever read that may be gone
        os._exit(status)
