"""The Django app: brings the commands and the system checks; opens nothing."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig

__all__ = ["GRPCAppConfig"]


class GRPCAppConfig(AppConfig):
    name = "django_cfg.apps.integrations.grpc"
    label = "django_cfg_grpc"
    verbose_name = "Streaming commands over gRPC"

    def ready(self) -> None:
        import_module("django_cfg.apps.integrations.grpc.checks")  # registers them
