"""Typed real-time calls for Django. Importing this needs no Redis, no gRPC and no Django settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_cfg.version import __version__

if TYPE_CHECKING:
    from django_cfg.config import DjangoConfig

__all__ = ["DjangoConfig", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "DjangoConfig":
        from django_cfg.config import DjangoConfig

        return DjangoConfig
    raise AttributeError(f"module 'django_cfg' has no attribute {name!r}")
