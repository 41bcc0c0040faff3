"""The project's effective configuration: `settings.WEBSOCKET_RPC`. Reloaded when a test overrides the settings."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.encoding import force_str

from django_cfg.errors import ConfigurationError, RPCConfigurationError
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.signing import Signer, derived_key
from django_cfg.typed_settings import parse_setting

__all__ = ["get_config", "signer_for"]


@lru_cache(maxsize=1)
def get_config() -> WebSocketRPCConfig:
    """What the settings say, enabled or not; raises RPCConfigurationError, which names the key and the fix."""
    try:
        return parse_setting(WebSocketRPCConfig, "WEBSOCKET_RPC", getattr(settings, "WEBSOCKET_RPC", {}))
    except ConfigurationError as error:
        raise RPCConfigurationError(str(error)) from error


def signer_for(config: WebSocketRPCConfig, stream: str) -> Signer:
    """Without a key of its own the project's secrets sign, old ones (SECRET_KEY_FALLBACKS) still verify."""
    if config.signing_key:
        return Signer(stream, (config.signing_key.encode(),), config.require_signature)
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    keys = tuple(derived_key(force_str(secret)) for secret in secrets)
    return Signer(stream, keys, config.require_signature)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "WEBSOCKET_RPC":
        get_config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_cfg.django_rpc.conf")
