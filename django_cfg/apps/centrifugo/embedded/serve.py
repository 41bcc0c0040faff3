"""Runs the embedded server with uvicorn until it is told to stop."""

from __future__ import annotations

import errno
import socket

import uvicorn

from django_cfg.apps.centrifugo.graceful import GracefulServer
from django_cfg.errors import ConfigurationError

from .ports import port_holder
from .server import EmbeddedServer

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""uvicorn's own limit; well above any sensible `message_size_limit`, so that the session answers with its own close."""

GRACE_SECONDS = 10


class _Server(GracefulServer):
    """Says goodbye to the clients before uvicorn closes their connections in its own way."""

    def __init__(self, config: uvicorn.Config, app: EmbeddedServer) -> None:
        super().__init__(config)
        self._embedded = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._embedded.stop()
        await super().shutdown(sockets)


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


def serve(app: EmbeddedServer, listener: socket.socket) -> None:
    """Blocks until SIGTERM or SIGINT; in another thread than the main one no signal is handled."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    _Server(config, app).run(sockets=[listener])


def _bind_problem(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EACCES:
        return f"{address}:{port}: ports below 1024 need special rights. Choose another: runcentrifugo {address}:8000"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {address}:{port}: {error.strerror}"
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    return f"port {port} is in use{by}. Stop that, or choose another port: runcentrifugo {address}:{port + 1}"
