"""`manage.py` of the site in this folder, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0


class Process:
    """A command of the site; what it prints and logs is in `log`."""

    def __init__(self, directory: Path, redis_url: str, *arguments: str, **environment: str) -> None:
        self.ledger = directory / "ledger"
        self._log = directory / f"{arguments[0]}-{time.monotonic_ns()}.log"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.redis.site.settings",
            "SITE_REDIS_URL": redis_url,
            "SITE_LEDGER": str(self.ledger),
            **environment,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "django", *arguments], env=self._environment, stdout=log, stderr=log, cwd=ROOT
            )

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
            self._process.terminate()  # in order, so that its own processes end before it
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def process(directory: Path, redis_url: str, *arguments: str, **environment: str) -> Iterator[Process]:
    started = Process(directory, redis_url, *arguments, **environment)
    try:
        yield started
    finally:
        started.clean_up()
