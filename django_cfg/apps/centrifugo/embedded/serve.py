"""Runs the embedded server with uvicorn until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn

from django_cfg.apps.centrifugo.serving import GracefulServer

from .server import EmbeddedServer

FRAME_LIMITS = 4
"""uvicorn's own limit in units of `message_size_limit`: above it, so that the session answers with its own close."""

UNLIMITED_BYTES = 64 * 1024 * 1024
GRACE_SECONDS = 10


def serve(app: EmbeddedServer, listener: socket.socket) -> None:
    """Blocks until SIGTERM or SIGINT; in another thread than the main one no signal is handled."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=FRAME_LIMITS * (app.config.websocket.message_size_limit or UNLIMITED_BYTES),
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    GracefulServer(config, app.stop).run(sockets=[listener])
