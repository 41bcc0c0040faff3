"""Django's commands as processes, forked from one that has imported what they need: Python and Django start slowly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

__all__ = ["Forked"]

PRELOADED = [
    "django.core.management",
    "django.core.handlers.asgi",
    "django.http",
    "django.test.signals",
    "django.urls",
    "django_cfg.apps.centrifugo.config",
    "django_cfg.modules.django_rpc.listener",
    "django_cfg.modules.django_rpc.management.stream_command",
    "django_cfg.modules.django_rpc.redis_transport",
    "django_cfg.modules.django_rpc.server",
]
"""Nothing of it looks into the settings, which differ."""


class Forked:
    """As `subprocess.Popen`; its environment is `environment` alone, and `log` gets what it prints."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._process: ForkServerProcess = context.Process(
            target=_run, args=(list(arguments), dict(environment), str(directory), str(log)), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout_seconds: float) -> int:
        self._process.join(timeout_seconds)
        status = self.poll()
        if status is None:
            raise TimeoutError(f"process {self.pid} does not end")
        return status


def _run(arguments: list[str], environment: dict[str, str], directory: str, log: str) -> None:
    with Path(log).open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    from django.core.management import execute_from_command_line

    sys.argv = ["django", *arguments]
    execute_from_command_line(sys.argv)
