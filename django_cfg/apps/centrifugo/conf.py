"""The project's effective configuration: `settings.CENTRIFUGO`, with development secrets under DEBUG.

Reloaded when a test overrides the settings.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.secrets import derive_secret
from django_cfg.typed_settings import parse_setting

__all__ = ["SECRETS", "get_config", "given_config"]

SECRETS = ("token_secret", "proxy_secret", "api_key")


@lru_cache(maxsize=1)
def given_config() -> CentrifugoConfig:
    """What the settings say; raises ConfigurationError, which names the key and the fix."""
    return parse_setting(CentrifugoConfig, "CENTRIFUGO", getattr(settings, "CENTRIFUGO", {}))


@lru_cache(maxsize=1)
def get_config() -> CentrifugoConfig:
    """With every secret in place; raises ConfigurationError when one is missing and DEBUG is off."""
    config = given_config()
    missing = [name for name in SECRETS if not getattr(config, name)]
    if missing and not settings.DEBUG:
        raise ConfigurationError(
            f"settings.CENTRIFUGO has no {', '.join(missing)}. Give each a random text of 32 characters or more "
            f"(development secrets exist only with DEBUG = True)."
        )
    derived = {name: derive_secret(settings.SECRET_KEY, f"centrifugo:{name}") for name in missing}
    return config.model_copy(update=derived)


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("CENTRIFUGO", "SECRET_KEY", "DEBUG"):
        given_config.cache_clear()
        get_config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_cfg.centrifugo.conf")
