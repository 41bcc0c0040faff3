"""A listening socket, or the sentence that says who has the port."""

from __future__ import annotations

import errno
import socket

from django_cfg.errors import ConfigurationError
from django_cfg.rpc.port_holder import THIS_PROCESS, port_holder

__all__ = ["bind", "parse_address"]

LOCAL = "127.0.0.1"
HIGHEST_PORT = 65_535
LONGEST_PORT = 5


def parse_address(text: str, default_host: str = LOCAL) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    valid = port.isascii() and port.isdecimal() and len(port) <= LONGEST_PORT and int(port) <= HIGHEST_PORT
    if not valid or (host[:1] == "[") != (host[-1:] == "]") or (":" in host and host[0] != "["):
        raise ConfigurationError(f"{text!r} is no address: write HOST:PORT, for example {LOCAL}:9100")
    return host.strip("[]") or default_host, int(port)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; raises ConfigurationError that names the likely holder of a busy port, and the fix."""
    if not 0 <= port <= HIGHEST_PORT:
        raise ConfigurationError(f"{port} is no port: the highest is {HIGHEST_PORT}")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_bind_problem(error, address, port)) from error
    listener.setblocking(False)
    return listener


def _bind_problem(error: OSError, address: str, port: int) -> str:
    shown = f"[{address}]" if ":" in address else address
    if error.errno == errno.EACCES:
        return f"{shown}:{port}: ports below 1024 need special rights. Choose another, for example {shown}:8000"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {shown}:{port}: {error.strerror}"
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    ways = "Choose" if holder == THIS_PROCESS else "Stop that, or choose"
    return f"port {port} is in use{by}. {ways} another port, for example {shown}:{_another(port)}"


def _another(port: int) -> int:
    return port + 1 if port < HIGHEST_PORT else port - 1
