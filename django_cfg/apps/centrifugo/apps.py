"""The Django app: finds handlers and registers system checks; opens nothing."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["CentrifugoAppConfig"]


class CentrifugoAppConfig(AppConfig):
    name = "django_cfg.apps.centrifugo"
    label = "django_cfg_centrifugo"
    verbose_name = "WebSocket RPC"

    def ready(self) -> None:
        from django_cfg.apps.centrifugo import checks as checks  # registers them
        from django_cfg.apps.centrifugo.conf import given_config
        from django_cfg.apps.centrifugo.wiring import install_middleware, install_permissions
        from django_cfg.errors import ConfigurationError
        from django_cfg.rpc.discovery import discover_handlers

        try:
            config = given_config()
        except ConfigurationError:
            return  # said by the system check E001, which can name the setting without a traceback
        discover_handlers(config.handler_modules)
        install_middleware(config)
        install_permissions()
