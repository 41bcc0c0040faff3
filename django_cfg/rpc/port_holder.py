"""Who listens on a port of this machine, as far as /proc tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["THIS_PROCESS", "port_holder"]

THIS_PROCESS = "this command itself"
_LISTENING = "0A"
_PROC = Path("/proc")


def port_holder(port: int) -> str | None:
    """Name and process id; None where there is no /proc, or the process belongs to somebody else."""
    inodes = set(_listening_inodes(port))
    for process in _PROC.glob("[0-9]*") if inodes else ():
        if inodes & set(_socket_inodes(process)):
            own = process.name == str(os.getpid())
            return THIS_PROCESS if own else f"{_name(process)} (process {process.name})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:  # a system without that protocol, or without /proc
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _socket_inodes(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's, whose files are not shown
        return
    for descriptor in descriptors:
        try:
            target = os.readlink(descriptor)
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a process"
    return " ".join(words[:3]).strip() or "a process"
