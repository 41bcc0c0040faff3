from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.test import override_settings

from django_cfg.modules.django_rpc import checks
from django_cfg.modules.django_rpc.checks import check_configuration, check_deployment

ON: dict[str, Any] = {"enabled": True, "redis_url": "redis://:pw@redis.example.com:6379/2"}


def found(given: object = None, *, debug: bool = False, **settings: Any) -> list[str]:
    """Ids, without the prefix that they all have."""
    changed = {"WEBSOCKET_RPC": given} if given is not None else {}
    with override_settings(DEBUG=debug, **changed, **settings):
        messages: list[CheckMessage] = [*check_configuration(None), *check_deployment(None)]
    for message in messages:
        assert message.hint
        assert "pw" not in message.msg
        assert str(message.id).startswith("django_cfg_rpc.")
    return [str(message.id).rpartition(".")[2] for message in messages]


@pytest.mark.parametrize("given", [None, {}, {"enabled": False, "rpc_timeout": 5}, ON])
def test_nothing_to_say(given: object) -> None:
    assert found(given) == []


def test_bad_settings() -> None:
    assert found({"redis_ulr": "redis://x"}) == ["E001"]


def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "redis_is_installed", lambda: False)
    assert found(ON) == ["E002"]
    assert found({"enabled": True, "redis_url": "memory://"}, debug=True) == []
    assert found({"enabled": False}) == []


def test_options_without_being_enabled() -> None:
    assert found({"rpc_timeout": 5}) == ["W003"]


def test_logged_calls() -> None:
    assert found(ON | {"log_rpc_calls": True}) == ["W004"]
    assert found(ON | {"log_rpc_calls": True}, debug=True) == []


def test_an_in_process_server_in_production() -> None:
    assert found(ON | {"redis_url": "memory://"}) == ["W005"]


@pytest.mark.parametrize(
    ("rpc", "cache", "ids"),
    [
        ("redis://localhost:6379/2", "redis://localhost/2", ["W006"]),
        ("redis://localhost:6379/2", "redis://user:pw@localhost?db=2", ["W006"]),
        ("redis://localhost:6379/2", ["redis://other/2", "redis://localhost:6379/2"], ["W006"]),
        ("redis://localhost:6379/2", "redis://other/2;,redis://localhost/2", ["W006"]),
        ("redis://localhost", "redis://localhost/0", ["W006"]),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", ["W006"]),
        ("redis://localhost:6379/2", "redis://localhost/1", []),
        ("redis://localhost:6379/2", "redis://localhost:6380/2", []),
        ("redis://localhost:6379/2", "redis://localhost:port/2", []),
        ("redis://localhost:6379/2", "127.0.0.1:11211", []),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1", []),
    ],
)
def test_a_cache_in_the_same_database(rpc: str, cache: object, ids: list[str]) -> None:
    caches = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": cache}}
    assert found({"enabled": True, "redis_url": rpc}, CACHES=caches) == ids


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("redis://redis.example.com:6379/2", ["W010"]),
        ("rediss://user@redis.example.com/2", ["W010"]),
        ("redis://user:pw@redis.example.com/2", []),
        ("redis://redis.example.com/2?password=pw", []),
        ("redis://127.0.0.1/2", []),
        ("unix:///run/redis.sock", []),
        ("sentinel://one.example.com,localhost/main", ["W010"]),
        ("sentinel://:pw@one.example.com/main", []),
        ("sentinel://localhost,127.0.0.1:26380/main", []),
    ],
)
def test_a_redis_that_is_open_to_others(url: str, ids: list[str]) -> None:
    assert found({"enabled": True, "redis_url": url}) == ids


def test_the_app_registers_them() -> None:
    code = (
        "import django; from django.conf import settings; from django.core.management import call_command\n"
        "settings.configure(INSTALLED_APPS=['django_cfg.modules.django_rpc'], WEBSOCKET_RPC={'rpc_tmeout': 1})\n"
        "django.setup(); call_command('check')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "(django_cfg_rpc.E001) settings.WEBSOCKET_RPC: unknown key 'rpc_tmeout'" in done.stderr
