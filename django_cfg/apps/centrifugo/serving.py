"""What both servers need of a process: a listening socket, and an end in order with exit status 0."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from django_cfg.apps.centrifugo.ports import port_holder
from django_cfg.errors import ConfigurationError

__all__ = ["GracefulServer", "bind"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulServer(uvicorn.Server):
    """Unlike its parent it does not raise the signal again once everything has been finished."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals; autoreload keeps it for itself
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; raises ConfigurationError that names the likely holder of a busy port, and the fix."""
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
    if error.errno == errno.EACCES:
        return f"{address}:{port}: ports below 1024 need special rights. Choose another, for example {address}:8000"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {address}:{port}: {error.strerror}"
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    return f"port {port} is in use{by}. Stop that, or choose another port, for example {address}:{port + 1}"
