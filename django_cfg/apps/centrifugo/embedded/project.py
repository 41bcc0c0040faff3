"""The Django project's own ASGI application, with its static files in development."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.utils.module_loading import import_string


def project_app() -> Any:
    """What ASGI_APPLICATION names, or Django's own; static files under DEBUG and with django.contrib.staticfiles."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    app = import_string(path) if path else get_asgi_application()
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        return ASGIStaticFilesHandler(app)
    return app
