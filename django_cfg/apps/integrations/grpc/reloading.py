"""Restarts on source changes, as Django's runserver does, but ends in order whichever process gets the signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from django.utils import autoreload

from django_cfg.errors import ConfigurationError
from django_cfg.rpc.leaving import interrupt_once, leave_at_next_interrupt, leaving_soon
from django_cfg.rpc.reloading import is_child, supervise

__all__ = ["run_with_reloader"]


def run_with_reloader(serve: Callable[[], None], stop: Callable[[], None], stop_seconds: float) -> None:
    """Runs `serve` in a thread of a child process; there `stop` ends it, in at most `stop_seconds`, before each exit.

    Django keeps the main thread for watching files, ends it without asking the others, and kills the child when its
    parent gets a signal.
    """
    if not is_child():
        sys.exit(supervise())
    ended = threading.Event()
    ended.set()

    def run() -> None:
        autoreload.raise_last_exception()
        ended.clear()
        try:
            serve()
        except ConfigurationError as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            os._exit(1)  # no change of a source file makes it better, and only the main thread may exit otherwise
        finally:
            ended.set()

    with leaving_soon():
        interrupt_once()
        try:
            autoreload.run_with_reloader(run)
        finally:  # while threads may still be started: once the interpreter shuts down no callback has its database
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            leave_at_next_interrupt()
            stop()
            ended.wait(stop_seconds)
