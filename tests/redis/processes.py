"""`manage.py` of the site in this folder, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.redis.forking import Forked

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0


class Process:
    """A command of the site; what it prints and logs is in `log`."""

    def __init__(self, directory: Path, redis_url: str, *arguments: str, **environment: str) -> None:
        self.ledger = directory / "ledger"
        self._log = directory / f"{arguments[0]}-{time.monotonic_ns()}.log"
        whole = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.redis.site.settings",
            "SITE_REDIS_URL": redis_url,
            "SITE_LEDGER": str(self.ledger),
            **environment,
        }
        self._log.touch()
        self._process: Forked | subprocess.Popen[bytes]
        if "LD_PRELOAD" in environment:
            self._process = _started(arguments, whole, self._log)
        else:
            self._process = Forked(arguments, whole, ROOT, self._log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_serving(self, processes: int = 1) -> Process:
        deadline = time.monotonic() + START_SECONDS
        while self.log.count("Serving ") < processes:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return self

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def status(self) -> int | None:
        """With which it has ended."""
        return self._process.poll()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit status after that signal."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(START_SECONDS)

    def runs(self) -> list[str]:
        """What the handlers have noted, in order."""
        return self.ledger.read_text().split() if self.ledger.exists() else []

    def clean_up(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGTERM)  # in order, so that its own processes end before it
            try:
                self._process.wait(10)
            except (subprocess.TimeoutExpired, TimeoutError):
                self.end(signal.SIGKILL)


def _started(arguments: Sequence[str], environment: Mapping[str, str], path: Path) -> subprocess.Popen[bytes]:
    """For an environment that Python itself must start in."""
    with path.open("wb") as log:
        command = [sys.executable, "-m", "django", *arguments]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)


@contextmanager
def process(directory: Path, redis_url: str, *arguments: str, **environment: str) -> Iterator[Process]:
    started = Process(directory, redis_url, *arguments, **environment)
    try:
        yield started
    finally:
        started.clean_up()
