"""The Django project's own ASGI application, with its static files in development."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.utils.module_loading import import_string

logger = logging.getLogger("django_cfg.centrifugo")


def project_app() -> Any:
    """What ASGI_APPLICATION names, or Django's own; static files under DEBUG and with django.contrib.staticfiles."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    app: Any = import_string(path) if path else get_asgi_application()
    if isinstance(app, ASGIHandler):
        app = _without_websockets(app)
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        return ASGIStaticFilesHandler(app)
    return app


def _without_websockets(app: Any) -> Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]:
    """Django itself fails with a traceback where somebody has mistaken the path."""

    async def respond(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await app(scope, receive, send)
            return
        logger.warning("no WebSocket is served at %.100r: clients connect to /connection/websocket", scope["path"])
        await receive()
        await send({"type": "websocket.close"})

    return respond
