"""A scratch Django project on disk: its files, its commands, its server and a Python session inside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from django_cfg.tests.websocket.redis_server import RedisServer, require_redis_server
from tests.documents.markdown import Block

__all__ = ["ROOT", "CommandFailed", "Project", "Session", "SessionError", "free_port"]

ROOT = Path(__file__).parents[2]
INTERPRETER = Path(__file__).with_name("interpreter.py")
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
START_SECONDS = 30.0
COMMAND_SECONDS = 120.0

SETTINGS = """
from pathlib import Path

SECRET_KEY = "documents-only-secret-key-of-more-than-fifty-characters-0123"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "scratch_urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""


class CommandFailed(AssertionError):
    """A shell command ended with another status than 0; the message holds all it printed."""


class SessionError(AssertionError):
    """A block raised; the message is its traceback."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Project:
    """A context manager: leaving it ends the server and the session. `variables` are added to the environment."""

    def __init__(
        self, directory: Path, settings_module: str = "scratch_settings", variables: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.settings_module = settings_module
        self._variables = dict(variables or {})
        self.address = f"127.0.0.1:{free_port()}"
        self.grpc_port = free_port()
        self._servers: list[subprocess.Popen[bytes]] = []
        self._others: list[subprocess.Popen[bytes]] = []
        self._session: Session | None = None
        self._redis: RedisServer | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @classmethod
    def create(cls, directory: Path, apps: list[str], **settings: Any) -> Project:
        """With the real-time app and `apps` installed."""
        project = cls(directory)
        installed = ["django.contrib.contenttypes", "django.contrib.auth", "django_cfg.apps.centrifugo", *apps]
        given = {"INSTALLED_APPS": installed, **settings}
        project.write("scratch_settings.py", SETTINGS + "".join(f"{k} = {v!r}\n" for k, v in given.items()))
        project.write("scratch_urls.py", "urlpatterns = []\n")
        project.write(
            "manage.py",
            "import os, sys\nfrom django.core.management import execute_from_command_line\n"
            'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scratch_settings")\n'
            "execute_from_command_line(sys.argv)\n",
        )
        return project

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._session is not None:
            self._session.close()
        for process in (*self._others, *self._servers):
            _end(process)
        if self._redis is not None:
            self._redis.kill()

    def write(self, path: str, text: str) -> Path:
        """Packages on the way get their `__init__.py`."""
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        if target.suffix == ".py":
            for folder in target.relative_to(self.directory).parents[:-1]:
                (self.directory / folder / "__init__.py").touch()
        return target

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return inherited | {
            "PYTHONPATH": os.pathsep.join([str(self.directory), str(ROOT)]),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
            "NO_COLOR": "1",
            **self._variables,
        }

    def run(self, command: str) -> str:
        """What a shell command prints on standard output; raises CommandFailed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @property
    def session(self) -> Session:
        """Started at its first use, so that it sees the files written before."""
        if self._session is None:
            self._session = Session(self)
        return self._session

    @property
    def url(self) -> str:
        """The address for WebSockets; starts the server where none runs."""
        if not self._servers:
            self.serve("python manage.py runcentrifugo")
        return f"ws://{self.address}/connection/websocket"

    @property
    def redis_address(self) -> str:
        """Of a Redis for this project alone; starts it where none runs."""
        if self._redis is None:
            require_redis_server()
            self._redis = RedisServer(self.directory)
            self._redis.start()
        return f"127.0.0.1:{self._redis.port}"

    def serve(self, command: str) -> None:
        """Start `python manage.py runcentrifugo ...` at this project's address and wait until it listens."""
        log = self.directory / "server.log"
        server = self._spawn([*shlex.split(command, comments=True)[1:], self.address, "--noreload"], log)
        self._servers.append(server)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and server.poll() is None:
            host, _, port = self.address.partition(":")
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 0.2):
                return
            time.sleep(0.05)
        raise CommandFailed(f"{command} does not listen:\n{log.read_text(errors='replace')}")

    def start(self, command: str) -> None:
        """Start `python manage.py rpc_server ...`, an agent or its like and wait until it says that it works."""
        arguments = shlex.split(command, comments=True)[1:]
        if "rungrpc" in arguments:
            arguments.append("--noreload")
        log = self.directory / f"{arguments[1]}-{len(self._others)}.log"
        process = self._spawn(arguments, log)
        self._others.append(process)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            if re.search("Serving |: connected", log.read_text(errors="replace")):
                return
            time.sleep(0.05)
        raise CommandFailed(f"{command} does not serve:\n{log.read_text(errors='replace')}")

    def _spawn(self, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
        environment = self.environment | {"DJANGO_SETTINGS_MODULE": self.settings_module}
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=self.directory, env=environment, stdout=file, stderr=file
            )

    def link_node_modules(self, folder: str = ".") -> None:
        target = self.directory / folder / "node_modules"
        if not target.exists():
            target.symlink_to(NODE_MODULES)


class Session:
    """A Python process in a project, with Django set up; names live from block to block."""

    def __init__(self, project: Project) -> None:
        self._errors = (project.directory / "session.log").open("a+")
        self._process = subprocess.Popen(
            [sys.executable, str(INTERPRETER)],
            cwd=project.directory,
            env=project.environment | {"DJANGO_SETTINGS_MODULE": project.settings_module},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def run(self, code: str | Block, name: str = "<test>") -> str:
        """What the block prints; raises SessionError with its traceback."""
        if isinstance(code, Block):
            code, name = code.text, str(code)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "name": name}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise SessionError(f"the session has ended:\n{self._errors.read()}")
        answer = json.loads(line)
        if answer["error"]:
            raise SessionError(f"{name} failed:\n{answer['output']}{answer['error']}")
        output: str = answer["output"]
        return output

    def value(self, expression: str) -> Any:
        """Of an expression, which may await; it travels as JSON."""
        return json.loads(self.run(f"import json as _json\n_value = {expression}\nprint(_json.dumps(_value))"))

    def error(self, code: str | Block, name: str = "<test>") -> str:
        """The last line of the traceback of a block that must fail."""
        try:
            self.run(code, name)
        except SessionError as error:
            return str(error).strip().splitlines()[-1]
        raise AssertionError(f"{name} did not fail:\n{code}")

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("null\n")
            self._process.stdin.close()
        _end(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def _end(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
        return
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
        return
    process.kill()
    process.wait()
