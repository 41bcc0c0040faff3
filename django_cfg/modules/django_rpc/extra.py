"""The optional dependencies: whether redis-py and its parser are installed, and what to do if they are not."""

from __future__ import annotations

from importlib.util import find_spec
from inspect import signature
from typing import Any

from django_cfg.errors import RPCConfigurationError

__all__ = ["INSTALL_HINT", "check_values", "redis_is_installed", "require_redis", "tls_options"]

PACKAGES = ("redis", "hiredis")
INSTALL_HINT = 'pip install "django-cfg-realtime[redis]"'


def redis_is_installed() -> bool:
    return all(map(_is_installed, PACKAGES))


def require_redis() -> None:
    """For edges, before their first import of redis; raises RPCConfigurationError."""
    for name in PACKAGES:
        if not _is_installed(name):
            raise RPCConfigurationError(
                f"RPC over Redis needs the package {name}, which is not installed: {INSTALL_HINT}"
            )


def tls_options() -> list[str]:
    """What redis-py's connections take in a URL for TLS; nothing where it is not installed."""
    if not _is_installed("redis"):
        return []
    from redis import SSLConnection

    return [name for name in signature(SSLConnection).parameters if name.startswith("ssl_")]


def check_values(url: str) -> None:
    """Raises ValueError for what redis-py would say at the first connection; nothing where it is not installed."""
    if not _is_installed("redis"):
        return
    from redis import ConnectionPool, RedisError

    pool: Any = ConnectionPool
    try:
        pool.from_url(url).make_connection()
    except RedisError as error:
        raise ValueError(str(error)) from error


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # whoever forbids a package says so when it is looked for
        return False
