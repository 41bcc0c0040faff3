"""A real PostgreSQL on a port and in a directory of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from django_cfg.tests.websocket.redis_server import missing_program

BOUND_SECONDS = 60
USER = "postgres" if os.getuid() == 0 else None
"""PostgreSQL refuses to run as root."""

AS_USER = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--"] if USER else []
"""`subprocess` itself could change the user only after a real fork, which gRPC of other tests may not survive."""


@contextmanager
def postgres() -> Generator[int]:
    """Its port; the user postgres may do everything without a password."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    if USER:
        shutil.chown(directory, USER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    control: list[str | Path] = [programs / "pg_ctl", "-D", directory, "-w"]
    _run([programs / "initdb", "-D", directory, "-U", "postgres", "-A", "trust", "--no-sync"], directory)
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
    _run([*control, "-l", directory / "log", "-o", options, "start"], directory)
    try:
        yield port
    finally:
        _run([*control, "-m", "immediate", "stop"], directory)
        shutil.rmtree(directory)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        missing_program("postgresql")
    return found[-1]


def _run(command: list[str | Path], directory: Path) -> None:
    done = subprocess.run(
        [*AS_USER, *map(str, command)],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
