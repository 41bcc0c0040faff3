"""System checks; each has an id, a sentence and a fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from django_cfg.errors import RPCConfigurationError
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.extra import INSTALL_HINT, redis_is_installed
from django_cfg.modules.django_rpc.sentinel_url import read_sentinel_url

__all__ = ["check_configuration", "check_deployment"]

PREFIX = "django_cfg_rpc"
_LOCAL = ("localhost", "127.0.0.1", "::1", None)


@register(Tags.compatibility)
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What makes the part unusable or unsafe (E001 to W006)."""
    try:
        config = get_config()
    except RPCConfigurationError as error:
        return [Error(str(error), hint="Correct settings.WEBSOCKET_RPC.", id=f"{PREFIX}.E001")]
    if not config.enabled:
        return list(_not_enabled(config))
    return [*_extra(config), *_logged_calls(config), *_memory(config), *_shared_database(config)]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What works and should not go to production (W010)."""
    try:
        config = get_config()
    except RPCConfigurationError:
        return []  # E001 has said it
    return list(_open_redis(config)) if config.enabled else []


def _not_enabled(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if config.model_fields_set and "enabled" not in config.model_fields_set:
        yield CheckWarning(
            "settings.WEBSOCKET_RPC has options, but RPC over Redis is not enabled.",
            hint="Set settings.WEBSOCKET_RPC['enabled'] to True, or to False if that is meant.",
            id=f"{PREFIX}.W003",
        )


def _extra(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if not config.in_memory and not redis_is_installed():
        yield Error("RPC over Redis needs the package redis.", hint=f"Install it: {INSTALL_HINT}", id=f"{PREFIX}.E002")


def _logged_calls(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if config.log_rpc_calls and not settings.DEBUG:
        yield CheckWarning(
            "settings.WEBSOCKET_RPC['log_rpc_calls'] is on without DEBUG: parameters of calls go into the log.",
            hint="Switch it off in production; redaction knows secrets by their names only.",
            id=f"{PREFIX}.W004",
        )


def _memory(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if config.in_memory and not settings.DEBUG:
        yield CheckWarning(
            "settings.WEBSOCKET_RPC['redis_url'] is memory:// without DEBUG: no other process hears a call.",
            hint="Give the URL of a Redis, such as redis://localhost:6379/2.",
            id=f"{PREFIX}.W005",
        )


def _shared_database(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if config.in_memory:
        return
    for alias, location in _redis_caches():
        if _database(location) == _database(config.redis_url):
            yield CheckWarning(
                f"CACHES[{alias!r}] is in the same database as settings.WEBSOCKET_RPC['redis_url']: "
                f"cache.clear() deletes all requests and replies.",
                hint="Give each a database of its own: the number at the end of the URL.",
                id=f"{PREFIX}.W006",
            )


def _redis_caches() -> Iterator[tuple[str, str]]:
    for alias, cache in settings.CACHES.items():
        given: object = cache.get("LOCATION", "")
        locations = cast("Iterable[object]", given) if isinstance(given, list | tuple) else str(given).split(",")
        for location in locations:
            if str(location).startswith(("redis://", "rediss://", "unix://")):
                yield alias, str(location)


def _database(url: str) -> tuple[str, int, str] | None:
    """Where the keys of a Redis URL are: host or socket, port, number of the database; None: it cannot be read."""
    parts = urlsplit(url)
    number = parse_qs(parts.query).get("db", [""])[0]
    try:
        port = parts.port or 6379
    except ValueError:
        return None
    if parts.scheme == "unix":
        return parts.path, 0, number or "0"
    return parts.hostname or "localhost", port, number or parts.path.strip("/") or "0"


def _open_redis(config: WebSocketRPCConfig) -> Iterable[CheckMessage]:
    if _is_open(config.redis_url):
        yield CheckWarning(
            "settings.WEBSOCKET_RPC['redis_url'] has no password: whoever reaches Redis may call every method.",
            hint="Give Redis users and passwords (ACL): redis://user:password@host:6379/2.",
            id=f"{PREFIX}.W010",
        )


def _is_open(url: str) -> bool:
    """Whether a Redis on another machine is reached without a password."""
    if url.startswith("sentinel:"):
        watched = read_sentinel_url(url)
        return not watched.password and not {host for host, _ in watched.sentinels} <= set(_LOCAL)
    parts = urlsplit(url)
    has_password = parts.password or "password" in parse_qs(parts.query)
    return parts.scheme in ("redis", "rediss") and parts.hostname not in _LOCAL and not has_password
