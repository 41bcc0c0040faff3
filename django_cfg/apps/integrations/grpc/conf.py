"""The project's effective configuration: `settings.GRPC`, with a development secret under DEBUG.

Reloaded when a test overrides the settings.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.secrets import derive_secret
from django_cfg.typed_settings import parse_setting

__all__ = ["get_config", "given_config"]


@lru_cache(maxsize=1)
def given_config() -> GRPCConfig:
    """What the settings say; raises ConfigurationError, which names the key and the fix."""
    return parse_setting(GRPCConfig, "GRPC", getattr(settings, "GRPC", {}))


@lru_cache(maxsize=1)
def get_config() -> GRPCConfig:
    """With what depends on DEBUG filled in; raises ConfigurationError where tokens are required without a secret."""
    config = given_config()
    reflection = settings.DEBUG if config.reflection is None else config.reflection
    return config.model_copy(update={"reflection": reflection, "token_secret": _token_secret(config)})


def _token_secret(config: GRPCConfig) -> str:
    if config.token_secret:
        return config.token_secret
    if settings.DEBUG:
        return derive_secret(settings.SECRET_KEY, "grpc:token_secret")
    if config.agent_tokens == "required":
        raise ConfigurationError(
            "settings.GRPC has no token_secret. Give it a random text of 32 characters or more "
            "(a development secret exists only with DEBUG = True)."
        )
    return ""


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("GRPC", "SECRET_KEY", "DEBUG"):
        given_config.cache_clear()
        get_config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_cfg.grpc.conf")
