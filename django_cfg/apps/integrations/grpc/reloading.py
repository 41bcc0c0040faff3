"""Restarts on source changes, as Django's runserver does, but ends in order whichever process gets the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from django.utils import autoreload

from django_cfg.apps.integrations.grpc.leaving import leave_soon
from django_cfg.errors import ConfigurationError

__all__ = ["run_with_reloader"]

RESTART_STATUS = 3
"""With which a process ends that wants to be started again."""


def run_with_reloader(serve: Callable[[], None], stop: Callable[[], None], stop_seconds: float) -> None:
    """Runs `serve` in a thread of a child process; there `stop` ends it, in at most `stop_seconds`, before each exit.

    Django keeps the main thread for watching files, ends it without asking the others, and kills the child when its
    parent gets a signal.
    """
    if os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true":
        sys.exit(_supervise())
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

    status = 0
    try:
        autoreload.run_with_reloader(run)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0
        raise
    finally:  # while threads may still be started: once the interpreter shuts down no callback could use the database
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stop()
        ended.wait(stop_seconds)
        leave_soon(status)


def _supervise() -> int:
    """The exit status of the last child; signals are passed on to it."""
    arguments = autoreload.get_child_arguments()
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    child: subprocess.Popen[bytes] | None = None
    stopped = False

    def pass_on(number: int, _: Any) -> None:
        nonlocal stopped
        stopped = True
        if child is not None and child.poll() is None:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    while not stopped:
        child = subprocess.Popen(arguments, env=environment, close_fds=False)  # noqa: S603 - this program itself
        if (status := child.wait()) != RESTART_STATUS:
            return 0 if stopped else status
    return 0
