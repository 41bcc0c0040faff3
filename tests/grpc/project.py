"""A small project on disk whose app serves over gRPC, and its `manage.py` as processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 30.0

SETTINGS = """
import os
SECRET_KEY = "grpc-tests-only-secret-key-of-more-than-fifty-characters-0123"
DEBUG = {debug}
INSTALLED_APPS = ["django_cfg.apps.integrations.grpc", *{apps!r}]
USE_TZ = True
GRPC = {grpc!r}
"""

ECHO = """
import os
import grpc

print("handlers of", __name__, os.getpid(), flush=True)

async def echo(request, context):
    return request

async def stream(requests, context):
    async for request in requests:
        yield request

def grpc_handlers(server):
    print("called", flush=True)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    })])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], explain: Callable[[], str] = str, seconds: float = BOUND_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


class Project:
    """Its settings are written anew by `configure`; `port` is free when the project is made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.apps: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_app(self, name: str, handlers: str = ECHO) -> Path:
        folder = self.directory / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "grpc_handlers.py").write_text(handlers)
        self.apps.append(name)
        return folder / "grpc_handlers.py"

    def configure(self, *, debug: bool = True, **grpc: Any) -> Project:
        text = SETTINGS.format(debug=debug, apps=self.apps, grpc={"port": self.port, **grpc})
        (self.directory / "site_settings.py").write_text(text)
        return self

    @contextmanager
    def manage(self, *arguments: str) -> Iterator[Process]:
        process = Process(self.directory, arguments)
        try:
            yield process
        finally:
            process.clean_up()


class Process:
    """One command; what it prints is in `log`."""

    def __init__(self, directory: Path, arguments: tuple[str, ...], module: str = "django") -> None:
        self._file = directory / f"{arguments[0].strip('-')}-{time.monotonic_ns()}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONUNBUFFERED": "1",
        }
        with self._file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=directory,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self.status() is None

    def status(self) -> int | None:
        """With which it has ended."""
        return self._process.poll()

    @property
    def log(self) -> str:
        return self._file.read_text(errors="replace")

    def until_logged(self, text: str, times: int = 1) -> Process:
        def logged() -> bool:
            return self.log.count(text) >= times

        wait_until(lambda: logged() or self._process.poll() is not None, lambda: self.log)
        assert logged(), self.log
        return self

    def until_serving(self, times: int = 1) -> Process:
        return self.until_logged("Serving on ", times)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def press_control_c(self) -> None:
        """As a terminal does: the reloader's child gets it as well, and once more from its parent."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        return self._process.wait(BOUND_SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit status after that signal."""
        self.send(number)
        return self.wait()

    def clean_up(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
