"""The optional dependencies: whether redis-py and its parser are installed, and what to do if they are not."""

from __future__ import annotations

from importlib.util import find_spec

from django_cfg.errors import RPCConfigurationError

__all__ = ["INSTALL_HINT", "redis_is_installed", "require_redis"]

INSTALL_HINT = 'pip install "django-cfg-realtime[redis]"'


def redis_is_installed() -> bool:
    return find_spec("redis") is not None and find_spec("hiredis") is not None


def require_redis() -> None:
    """For edges, before their first import of redis; raises RPCConfigurationError."""
    if not redis_is_installed():
        raise RPCConfigurationError(f"RPC over Redis needs the packages redis and hiredis: {INSTALL_HINT}")
