"""How long a thread waits for a socket, and whether its other end is still there.

Python asks the kernel whether a socket with a timeout is ready before each read and write, and lets other threads go
first meanwhile. Where the kernel itself can end the wait, that costs neither; of some tens of threads it is most of a
call's price.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Protocol

__all__ = ["Patience", "patience_of"]

_ESTABLISHED = 1
"""The state of a TCP connection that neither end has closed: linux/tcp_states.h."""


class Patience(Protocol):
    """Of one socket. What has waited too long raises TimeoutError, or BlockingIOError."""

    def last(self, seconds: float) -> None:
        """So long, and no longer, may each read and write take."""
        ...

    def least(self, count: int) -> None:
        """A read need not return for less, before its time is up; what it has taken itself does not wake it later."""
        ...

    def is_idle(self) -> bool:
        """Whether the other end is there and has said nothing."""
        ...


def patience_of(connected: Any) -> Patience:
    """The kernel's where it is a plain TCP socket: TLS, and gevent in place of threads, need Python's."""
    plain = type(connected).__module__ == "socket" and connected.family in (socket.AF_INET, socket.AF_INET6)
    return _Kernel(connected) if plain and sys.platform == "linux" else _Python(connected)


class _Kernel:
    """See `man 7 socket`, SO_RCVTIMEO and SO_RCVLOWAT. A signal whose handler returns lets the wait begin anew."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        connected.settimeout(None)

    def last(self, seconds: float) -> None:
        whole = int(seconds)
        interval = struct.pack("ll", whole, max(1, int((seconds - whole) * 1_000_000)))  # 0 is for ever
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def least(self, count: int) -> None:
        with suppress(OSError):  # a sandbox's own kernel may not know it: then whatever comes is read at once
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def is_idle(self) -> bool:
        """Redis sends nothing unasked before it closes."""
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED


class _Python:
    def __init__(self, connected: Any) -> None:
        self._socket = connected
        self._readable = select.poll()
        self._readable.register(connected, select.POLLIN)

    def last(self, seconds: float) -> None:
        self._socket.settimeout(seconds)

    def least(self, count: int) -> None:
        """It returns at once: what it waits for may be a record of TLS."""

    def is_idle(self) -> bool:
        return not self._readable.poll(0)
