"""The Django app: brings the commands and the system checks, and finds handlers; opens nothing."""

from __future__ import annotations

from django.apps import AppConfig, apps

__all__ = ["DjangoRPCAppConfig"]


class DjangoRPCAppConfig(AppConfig):
    name = "django_cfg.modules.django_rpc"
    label = "django_cfg_rpc"
    verbose_name = "RPC over Redis"

    def ready(self) -> None:
        from django_cfg.modules.django_rpc import checks as checks  # registers them
        from django_cfg.rpc.discovery import discover_handlers

        if not apps.is_installed("django_cfg.apps.centrifugo"):  # whose setting names the modules
            discover_handlers()
