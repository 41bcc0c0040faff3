from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import override_settings

from django_cfg.apps.centrifugo.embedded.origins import origin_allowed
from django_cfg.apps.centrifugo.server_config import build_server_config
from django_cfg.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("development")

GIVEN: dict[str, Any] = {
    "token_secret": "token-secret",
    "proxy_secret": "proxy-secret",
    "api_key": "api-key",
    "allowed_origins": ["https://app.example.test"],
    "api_url": "http://127.0.0.1:8000/api",
    "proxy_url": "http://127.0.0.1:8010/centrifugo",
}


@override_settings(CENTRIFUGO=GIVEN)
def test_the_whole_config() -> None:
    config = build_server_config()
    regex = config["channel"]["without_namespace"].pop("channel_regex")
    assert re.fullmatch(regex, "rpc.requests")
    proxy = {
        "timeout": "62000ms",
        "include_connection_meta": True,
        "http": {"static_headers": {"X-Rpc-Proxy-Key": "proxy-secret"}},
    }
    assert config == {
        "http_server": {"address": "127.0.0.1", "port": 8000},
        "client": {
            "allowed_origins": ["https://app.example.test"],
            "token": {"hmac_secret_key": "token-secret"},
            "disallow_anonymous_connection_tokens": True,
            "concurrency": 16,
            "queue_max_size": 4_194_304,
        },
        "channel": {
            "history_meta_ttl": "24h",
            "proxy": {"publish": {"endpoint": "http://127.0.0.1:8010/centrifugo/publish", **proxy}},
            "without_namespace": {
                "allow_user_limited_channels": True,
                "publish_proxy_enabled": True,
                "publication_data_format": "json_object",
                "presence": True,
                "history_size": 64,
                "history_ttl": "60s",
                "force_recovery": True,
            },
        },
        "rpc": {
            "proxy": {"endpoint": "http://127.0.0.1:8010/centrifugo/rpc", **proxy},
            "without_namespace": {"proxy_enabled": True},
        },
        "http_api": {"key": "api-key"},
        "websocket": {"message_size_limit": 262_144},
        "engine": {"type": "memory"},
        "usage_stats": {"disabled": True},
    }


@pytest.mark.parametrize("channel", ["user#", "user#1,2", "user#1#2", "x#42", "user#1,", "a:b", "", "user#ä", "#42"])
def test_channels_that_nobody_may_name(channel: str) -> None:
    regex = build_server_config()["channel"]["without_namespace"]["channel_regex"]
    assert re.fullmatch(regex, channel) is None


@pytest.mark.parametrize("channel", ["rpc.requests", "user#42", "user#a.b@example.com", "data.stream.123"])
def test_channels_that_are_in_use(channel: str) -> None:
    assert re.fullmatch(build_server_config()["channel"]["without_namespace"]["channel_regex"], channel)


@override_settings(
    CENTRIFUGO=GIVEN
    | {
        "redis_url": "redis://127.0.0.1:6379",
        "token_audience": "aud",
        "token_issuer": "iss",
        "longest_timeout_seconds": 120,
        "max_request_bytes": 100_000,
        "max_reply_bytes": 2_000_000,
        "api_url": "https://centrifugo.example.test/api/",
    }
)
def test_it_follows_the_settings() -> None:
    config = build_server_config()
    assert config["engine"] == {"type": "redis", "redis": {"address": "redis://127.0.0.1:6379"}}
    assert config["client"]["token"]["audience"] == "aud"
    assert config["client"]["token"]["issuer"] == "iss"
    assert config["rpc"]["proxy"]["timeout"] == "122000ms"
    assert config["websocket"]["message_size_limit"] == 100_000
    assert config["client"]["queue_max_size"] >= 2_000_000
    assert config["http_server"] == {"address": "centrifugo.example.test", "port": 443}


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173"])
def test_origins_that_are_not_given_are_localhost_in_development(debug: bool, origin: str) -> None:
    given = {key: value for key, value in GIVEN.items() if key != "allowed_origins"}
    with override_settings(CENTRIFUGO=given, DEBUG=debug):
        patterns = build_server_config()["client"]["allowed_origins"]

    assert origin_allowed(origin, "example.test", patterns) is debug
    assert not origin_allowed("http://evil.example.test", "example.test", patterns)


@override_settings(DEBUG=False, CENTRIFUGO={})
def test_no_config_without_secrets() -> None:
    with pytest.raises(ConfigurationError):
        build_server_config()
