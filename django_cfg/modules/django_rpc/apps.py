"""The Django app: brings the commands and the system checks; opens nothing."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["DjangoRPCAppConfig"]


class DjangoRPCAppConfig(AppConfig):
    name = "django_cfg.modules.django_rpc"
    label = "django_cfg_rpc"
    verbose_name = "RPC over Redis"

    def ready(self) -> None:
        from django_cfg.modules.django_rpc import checks as checks  # registers them
