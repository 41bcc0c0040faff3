"""A real redis-server on a port and in a directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 10.0
PROGRAM = "REDIS_SERVER_BIN"
"""The environment variable that names what is started in place of `redis-server`, such as a `valkey-server`."""


class RedisServer:
    """Started by `start`; `url` names database 2, as the project's default does."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/2"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        command = [server_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        self._process = subprocess.Popen(
            [*command, "--save", "", *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"{server_program()} did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """In order: what is to be saved is saved."""
        self.signal(signal.SIGTERM)
        self._end()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make it silent, and let it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def client(self) -> Any:
        """A redis-py client with its own defaults, as anybody's would be; close it."""
        import redis

        return redis.Redis(port=self.port, db=2)

    def _answers(self) -> bool:
        import redis

        with redis.Redis(port=self.port, socket_timeout=1) as probe:
            try:
                probe.ping()  # pyright: ignore[reportUnknownMemberType] - untyped in redis-py
            except redis.RedisError:
                return False
            return True

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait(START_SECONDS)
        self._process = None


def server_program() -> str:
    return os.environ.get(PROGRAM, "redis-server")


def require_redis_server() -> None:
    if shutil.which(server_program()) is None:
        missing_program(server_program())


def missing_program(name: str) -> None:
    """Fails where tests are to be complete, skips elsewhere."""
    message = f"{name} is not installed"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
