from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings
from pydantic import ValidationError

from django_cfg import DjangoConfig
from django_cfg.errors import ConfigurationError, RPCConfigurationError, RPCError
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig

DOCUMENTED: dict[str, Any] = {
    "enabled": False,
    "module_name": "websocket_rpc",
    "redis_url": "redis://localhost:6379/2",
    "redis_max_connections": 50,
    "rpc_timeout": 30,
    "request_stream": "stream:requests",
    "consumer_group": "rpc_group",
    "stream_maxlen": 10000,
    "response_key_prefix": "list:response:",
    "response_key_ttl": 60,
    "enable_bridge": False,
    "bridge_consumer_name": "django_bridge",
    "bridge_stream": "stream:django:requests",
    "websocket_url": "ws://localhost:8765",
    "log_rpc_calls": False,
    "log_level": "INFO",
}


BEYOND_THE_DOCUMENT = {"liveness_timeout": 5.0, "signing_key": "", "require_signature": False}


def test_the_documented_options_and_those_beyond() -> None:
    assert WebSocketRPCConfig().model_dump() == DOCUMENTED | BEYOND_THE_DOCUMENT


def test_the_generated_settings_are_read_back() -> None:
    config = DjangoConfig(websocket_rpc=WebSocketRPCConfig(enabled=True, rpc_timeout=7))

    assert config.websocket_rpc is not None
    generated = config.websocket_rpc.to_django_settings()
    assert generated == {"WEBSOCKET_RPC": DOCUMENTED | BEYOND_THE_DOCUMENT | {"enabled": True, "rpc_timeout": 7}}
    assert config.to_django_settings() == generated
    with override_settings(**generated):
        assert get_config() == config.websocket_rpc


def test_override_settings_is_seen_and_forgotten() -> None:
    with override_settings(WEBSOCKET_RPC={"rpc_timeout": 7}):
        assert get_config().rpc_timeout == 7
        with override_settings(WEBSOCKET_RPC=WebSocketRPCConfig(rpc_timeout=8)):
            assert get_config().rpc_timeout == 8
        assert get_config().rpc_timeout == 7
    assert get_config() == WebSocketRPCConfig()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"redis_ulr": "x"}, "settings.WEBSOCKET_RPC: unknown key 'redis_ulr' (did you mean 'redis_url'?)"),
        ({"timeout": 5}, "unknown key 'timeout' (did you mean 'rpc_timeout'?)"),
        ({"REDIS_URL": "x"}, "unknown key 'REDIS_URL' (did you mean "),
        ({"rpc_timeout": 0}, "settings.WEBSOCKET_RPC['rpc_timeout']: Input should be greater than or equal to 1"),
        ({"rpc_timeout": 301}, "settings.WEBSOCKET_RPC['rpc_timeout']: Input should be less than or equal to 300"),
        ({"stream_maxlen": -1}, "settings.WEBSOCKET_RPC['stream_maxlen']: "),
        ({"redis_max_connections": 0}, "settings.WEBSOCKET_RPC['redis_max_connections']: "),
        ({"response_key_ttl": 0}, "settings.WEBSOCKET_RPC['response_key_ttl']: "),
        ({"response_key_prefix": ""}, "settings.WEBSOCKET_RPC['response_key_prefix']: "),
        ({"request_stream": ""}, "settings.WEBSOCKET_RPC['request_stream']: "),
        ({"consumer_group": ""}, "settings.WEBSOCKET_RPC['consumer_group']: "),
        ({"module_name": "two words"}, "settings.WEBSOCKET_RPC['module_name']: "),
        ({"log_level": "LOUD"}, "settings.WEBSOCKET_RPC['log_level']: Input should be 'DEBUG', 'INFO'"),
        ({"websocket_url": "http://x"}, "settings.WEBSOCKET_RPC['websocket_url']: this is no ws:// or wss:// URL"),
        ({"request_stream": "a", "bridge_stream": "a"}, "request_stream and bridge_stream are the same"),
        ({"response_key_prefix": "stream:"}, "request_stream begins with response_key_prefix"),
        ({"response_key_prefix": "stream:django"}, "bridge_stream begins with response_key_prefix"),
        ({"response_key_prefix": "rpc:"}, "keys of RPC itself begin with response_key_prefix"),
        ({"response_key_prefix": "rpc:call:1"}, "keys of RPC itself begin with response_key_prefix"),
        ({"redis_url": "redis://localhost/2?protocol=3"}, "'protocol' is no option for this URL"),
        ({"redis_url": "redis://localhost/2?db=x"}, "db must be the number of a database"),
        ({"redis_url": "redis://localhost?db=-1"}, "db must be the number of a database"),
        ({"redis_url": "rediss://localhost/2?ssl_min_version=zzz"}, "Invalid value for 'ssl_min_version'"),
        ({"redis_url": "rediss://localhost/2?ssl_cert_reqs=bogus"}, "bogus"),
        ({"redis_url": "unix://"}, "names the path of a socket"),
        ({"bridge_stream": "stream:requests:dead"}, "dead letters of the other"),
        (
            {"redis_url": "rediss://localhost/2?ssl_ca_cert=/ca.pem"},
            "no option 'ssl_ca_cert' for TLS: did you mean 'ssl_ca_",
        ),
        ({"redis_url": "redis://localhost/2?ssl_cert_reqs=none"}, "'ssl_cert_reqs' is no option for this URL"),
        ({"redis_url": "unix:///r.sock?db=2&decode_responses=1"}, "'decode_responses' is no option for this URL"),
        ("redis://localhost", "settings.WEBSOCKET_RPC must be a dict, not str"),
        (None, "settings.WEBSOCKET_RPC must be a dict, not NoneType"),
    ],
)
def test_mistakes_name_the_key(given: object, message: str) -> None:
    with override_settings(WEBSOCKET_RPC=given), pytest.raises(RPCConfigurationError) as caught:
        get_config()
    assert message in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, RPCError)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/2",
        "redis://user:p%2Fw@[::1]:6379/0",
        "rediss://cache.example.com:6380/15",
        "rediss://cache.example.com/0?ssl_cert_reqs=none",
        "redis://localhost/0?username=u&password=p",
        "redis://localhost?db=3",
        "unix:///run/redis.sock?db=2",
        "memory://",
    ],
)
def test_urls(url: str) -> None:
    config = WebSocketRPCConfig(redis_url=url)
    assert (config.redis_url, config.in_memory) == (url, url == "memory://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "redis:localhost",
        "REDIS://localhost",
        "amqp://canary@localhost",
        "redis://:canary@localhost/two",
        "redis://:canary@localhost/2/3",
        "redis://:canary/word@localhost:6379/2",
        "redis://:canary@[::1",
        "redis://:canary@localhost?protocol=3",
        "redis://localhost?password=canary&protocol=3",
    ],
)
def test_what_is_no_usable_url_is_refused_without_showing_its_password(url: str) -> None:
    for build in (
        lambda: WebSocketRPCConfig(redis_url=url),
        lambda: DjangoConfig.model_validate({"websocket_rpc": {"redis_url": url}}),
    ):
        with pytest.raises(ValidationError) as caught:
            build()
        assert caught.value.errors()[0]["loc"][-1] == "redis_url"
        assert "canary" not in str(caught.value)


def test_a_password_is_not_in_the_representation() -> None:
    assert "canary" not in repr(DjangoConfig(websocket_rpc=WebSocketRPCConfig(redis_url="redis://:canary@localhost")))


def test_a_misspelt_part_is_named() -> None:
    with pytest.raises(ValidationError, match=r"unknown key 'websocket_rcp' \(did you mean 'websocket_rpc'\?\)"):
        DjangoConfig.model_validate({"websocket_rcp": {}})
