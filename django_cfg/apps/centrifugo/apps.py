"""The Django app: finds handlers and registers system checks; opens nothing."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig, apps
from django.utils.module_loading import module_has_submodule

__all__ = ["CentrifugoAppConfig", "autodiscover"]


class CentrifugoAppConfig(AppConfig):
    name = "django_cfg.apps.centrifugo"
    label = "django_cfg_centrifugo"
    verbose_name = "WebSocket RPC"

    def ready(self) -> None:
        from django_cfg.apps.centrifugo import checks as checks  # registers them
        from django_cfg.apps.centrifugo.conf import given_config
        from django_cfg.apps.centrifugo.wiring import install_middleware
        from django_cfg.errors import ConfigurationError

        try:
            config = given_config()
        except ConfigurationError:
            return  # said by the system check E001, which can name the setting without a traceback
        autodiscover(config.handler_modules)
        install_middleware(config)


def autodiscover(module_names: list[str]) -> None:
    """Import the modules of these names in installed apps; an error inside one is raised with its own traceback."""
    for app in apps.get_app_configs():
        if app.module is None or app.name.partition(".")[0] == "django":
            continue
        for name in module_names:
            if module_has_submodule(app.module, name):
                import_module(f"{app.name}.{name}")
