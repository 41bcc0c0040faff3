from __future__ import annotations

import subprocess
import sys

import pytest

from django_cfg import errors
from django_cfg.errors import RPCConfigurationError
from django_cfg.modules import django_rpc
from django_cfg.modules.django_rpc import exceptions, extra

PUBLIC = {
    "NoResponders",
    "RPCCall",
    "RPCConfigurationError",
    "RPCConnectionError",
    "RPCError",
    "RPCOverloadedError",
    "RPCRemoteError",
    "RPCTimeoutError",
    "WebSocketRPCClient",
    "WebSocketRPCConfig",
    "get_rpc_client",
}


def test_every_public_name_is_there() -> None:
    assert set(django_rpc.__all__) == PUBLIC
    assert all(getattr(django_rpc, name) is not None for name in PUBLIC)


def test_the_exceptions_are_those_of_the_package() -> None:
    for name in exceptions.__all__:
        assert getattr(exceptions, name) is getattr(errors, name) is getattr(django_rpc, name)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RPCClient'"):
        _ = django_rpc.RPCClient


def test_importing_needs_neither_redis_nor_settings() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        f"from django_cfg.modules.django_rpc import {', '.join(sorted(PUBLIC))}\n"
        "WebSocketRPCConfig(); print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": ""})

    assert done.stdout == "ok\n", done.stderr


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    extra.require_redis()
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(RPCConfigurationError) as caught:
        extra.require_redis()
    assert str(caught.value).endswith('which is not installed: pip install "django-cfg-realtime[redis]"')
    assert "\n" not in str(caught.value)


def test_a_package_that_somebody_forbids_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "redis":
                raise ModuleNotFoundError(name)

    monkeypatch.delitem(sys.modules, "redis", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Forbidden(), *sys.meta_path])

    assert not extra.redis_is_installed()
    with pytest.raises(RPCConfigurationError, match="needs the package redis, which is not installed"):
        extra.require_redis()
