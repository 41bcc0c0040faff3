"""Pure but for the settings: the config of a real Centrifugo v6 that matches this project."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.identity import USER_CHANNEL_PREFIX, USER_ID_PATTERN

__all__ = ["PROXY_SECRET_HEADER", "build_server_config"]

PROXY_SECRET_HEADER = "X-Rpc-Proxy-Key"  # noqa: S105 - the header's name, not its value
CHANNEL_REGEX = f"^({USER_CHANNEL_PREFIX}{USER_ID_PATTERN}|[A-Za-z0-9_.@-]{{1,200}})$"
"""Reply channels of single users, and plain names, which need a subscription token; never `user#a,b` or `user#`."""

QUEUE_REPLIES = 8
"""How many replies of the largest size fit into a client's outbound queue before it counts as too slow."""


def build_server_config() -> dict[str, Any]:
    """JSON-able; raises ConfigurationError when a secret is missing."""
    config = get_config()
    return {
        "http_server": _http_server(config),
        "client": _client(config),
        "channel": _channel(config),
        "rpc": {
            "proxy": {"endpoint": f"{config.proxy_url}/rpc", **_proxy(config)},
            "without_namespace": {"proxy_enabled": True},
        },
        "http_api": {"key": config.api_key},
        "websocket": {"message_size_limit": config.max_request_bytes},
        "engine": _engine(config),
        "usage_stats": {"disabled": True},
    }


def _http_server(config: CentrifugoConfig) -> dict[str, Any]:
    url = urlsplit(config.api_url)
    return {"address": url.hostname or "127.0.0.1", "port": url.port or (443 if url.scheme == "https" else 80)}


def _client(config: CentrifugoConfig) -> dict[str, Any]:
    token: dict[str, Any] = {"hmac_secret_key": config.token_secret}
    if config.token_audience:
        token["audience"] = config.token_audience
    if config.token_issuer:
        token["issuer"] = config.token_issuer
    return {
        "allowed_origins": allowed_origins(config),
        "token": token,
        "disallow_anonymous_connection_tokens": True,
        "concurrency": 16,
        "queue_max_size": max(4_194_304, QUEUE_REPLIES * config.max_reply_bytes),
    }


def _channel(config: CentrifugoConfig) -> dict[str, Any]:
    return {
        "history_meta_ttl": "24h",
        "proxy": {"publish": {"endpoint": f"{config.proxy_url}/publish", **_proxy(config)}},
        "without_namespace": {
            "allow_user_limited_channels": True,
            "publish_proxy_enabled": True,
            "channel_regex": CHANNEL_REGEX,
            "publication_data_format": "json_object",
            "presence": True,
            "history_size": config.history_size,
            "history_ttl": f"{config.history_ttl_seconds}s",
            "force_recovery": True,
        },
    }


def _proxy(config: CentrifugoConfig) -> dict[str, Any]:
    return {
        "timeout": f"{round(config.proxy_timeout_seconds * 1000)}ms",
        "include_connection_meta": True,
        "http": {"static_headers": {PROXY_SECRET_HEADER: config.proxy_secret}},
    }


def _engine(config: CentrifugoConfig) -> dict[str, Any]:
    if not config.redis_url:
        return {"type": "memory"}
    return {"type": "redis", "redis": {"address": config.redis_url}}


def allowed_origins(config: CentrifugoConfig) -> list[str]:
    """What was given; else localhost under DEBUG. The server adds its own origin where it serves the pages itself."""
    if config.allowed_origins is not None:
        return list(config.allowed_origins)
    return ["http://localhost:*", "http://127.0.0.1:*"] if settings.DEBUG else []
