"""Start and stop a site: embedded in one process, embedded with a worker, or a real Centrifugo with one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt

PROJECT = Path(__file__).parent / "project"
ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
TOKEN_SECRET = "end-to-end-token-secret-0123456789abcdef"
KINDS = ["embedded", "worker", *(["centrifugo"] if os.environ.get("CENTRIFUGO_BIN") else [])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Servers:
    """A running site. `url` is where clients connect."""

    kind: str
    directory: Path
    port: int = field(default_factory=free_port)
    worker_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "e2e_settings",
            "E2E_PORT": str(self.port),
            "E2E_WORKER_PORT": str(self.worker_port),
            "E2E_DATABASE": str(self.directory / "db.sqlite3"),
        }

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def token(self, user_id: str, ttl: int = 600) -> str:
        """What the command centrifugo_token prints, without the time that a command takes."""
        return jwt.encode({"sub": user_id, "exp": int(time.time()) + ttl}, TOKEN_SECRET, algorithm="HS256")

    def start(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        if self.kind == "embedded":
            self.spawn("server", "manage.py", "runcentrifugo", f"127.0.0.1:{self.port}", "--noreload")
        else:
            self.start_worker()
            self.start_broker()
        self._wait("server", self.port)

    def start_worker(self) -> None:
        self.spawn("worker", "manage.py", "centrifugo_worker", "--port", str(self.worker_port))
        self._wait("worker", self.worker_port)

    def start_broker(self) -> None:
        config = self.directory / "centrifugo.json"
        self.manage("generate_centrifugo_config", "-o", str(config))
        if self.kind == "centrifugo":
            self.spawn("server", os.environ["CENTRIFUGO_BIN"], "--config", str(config), python=False)
        else:
            address = f"127.0.0.1:{self.port}"
            self.spawn(
                "server",
                "manage.py",
                "runcentrifugo",
                address,
                "--noreload",
                "--config",
                str(config),
                "--external-worker",
            )

    def spawn(self, name: str, *command: str, python: bool = True) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            full = [sys.executable, *command] if python else list(command)
            self.processes[name] = subprocess.Popen(full, cwd=PROJECT, env=self.environment, stdout=log, stderr=log)

    def terminate(self, name: str, how: int = signal.SIGTERM) -> int:
        """Returns the exit code."""
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(30)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _wait(self, name: str, port: int) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.processes[name].poll() is not None:
                raise RuntimeError(f"the {name} ended at once:\n{self.log(name)[-3000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                return
            time.sleep(0.05)
        raise RuntimeError(f"the {name} does not listen:\n{self.log(name)[-3000:]}")


@contextlib.contextmanager
def running(kind: str, directory: Path) -> Iterator[Servers]:
    servers = Servers(kind, directory)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
