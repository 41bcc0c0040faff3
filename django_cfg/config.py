"""Typed settings of every part, and their form as Django settings."""

from __future__ import annotations

from typing import Any

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.typed_settings import TypedSettings

__all__ = ["DjangoConfig"]


class DjangoConfig(TypedSettings):
    """The parts a project uses; one that is not given is not configured."""

    centrifugo: CentrifugoConfig | None = None
    websocket_rpc: WebSocketRPCConfig | None = None
    grpc: GRPCConfig | None = None

    def to_django_settings(self) -> dict[str, Any]:
        """For `globals().update(...)` in settings.py; one key per part."""
        merged: dict[str, Any] = {}
        for part in (self.centrifugo, self.websocket_rpc, self.grpc):
            if part is not None:
                merged.update(part.to_django_settings())
        return merged
