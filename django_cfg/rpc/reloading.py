"""The parent of a command that starts again when a source file changes, as Django's runserver does.

Django's own reloader ends for good when what was saved cannot be imported; only its runserver is spared that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.utils import autoreload

__all__ = ["is_child", "supervise"]

RESTART_STATUS = 3
"""With which a process ends that wants to be started again."""

LOOK_SECONDS = 0.5
NOT_OURS = {"node_modules", "site-packages", "__pycache__"}
WAITING = "The server has ended with status {}; it starts again when a source file changes.\n"

_Snapshot = dict[Path, float]


def is_child() -> bool:
    """Whether this process serves; otherwise it is to `supervise` the one that does."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def supervise() -> int:
    """The exit status of the last child, to which signals are passed on.

    One that fails at its first start is the last. Later ones have been broken by a change, and wait for the next.
    """
    return _Supervisor().run()


class _Supervisor:
    def __init__(self) -> None:
        self._arguments = autoreload.get_child_arguments()
        self._environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)
        has_run = False
        while not self._stopped:
            before = _snapshot()
            self._child = subprocess.Popen(self._arguments, env=self._environment, close_fds=False)  # noqa: S603 - this program itself
            if self._stopped:  # by a signal that came before there was a child
                self._child.send_signal(signal.SIGTERM)
            status = self._child.wait()
            if status == RESTART_STATUS:
                has_run = True
            elif not self._stopped and not (has_run and status > 0):
                return status
            elif not self._stopped:
                sys.stderr.write(WAITING.format(status))
                _wait_for_change(before, lambda: self._stopped)
        return 0

    def _pass_on(self, number: int, _: Any) -> None:
        self._stopped = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def _wait_for_change(before: _Snapshot, is_over: Callable[[], bool]) -> None:
    while not is_over() and _snapshot() == before:
        time.sleep(LOOK_SECONDS)


def _snapshot() -> _Snapshot:
    """When each source file was changed: of the modules that this process has imported, and of the project."""
    found: _Snapshot = {}
    for path in (*autoreload.iter_all_python_module_files(), *_project_files(Path(sys.path[0]))):
        try:
            found[path] = path.stat().st_mtime
        except OSError:  # removed meanwhile, which is a change, too
            continue
    return found


def _project_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_foreign(Path(root, name))]
        yield from (Path(root, name) for name in names if name.endswith(".py"))


def _is_foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in NOT_OURS or (folder / "pyvenv.cfg").exists()
