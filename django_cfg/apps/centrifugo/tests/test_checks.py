from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, Error, run_checks
from django.test import override_settings

from django_cfg.apps.centrifugo import checks
from django_cfg.apps.centrifugo.conf import SECRETS

GOOD: dict[str, Any] = {name: name * 6 for name in SECRETS} | {"allowed_origins": ["https://www.example.com"]}


def ids(check: Callable[..., list[CheckMessage]]) -> list[str]:
    found = check(None)
    assert all(message.hint and message.msg for message in found)
    return [str(message.id).removeprefix("django_cfg_centrifugo.") for message in found]


CONFIGURATIONS: list[tuple[bool, dict[str, Any], list[str]]] = [
    (False, GOOD, []),
    (True, {}, []),
    (True, {"nonsense": 1}, ["E001"]),
    (False, {}, ["E002", "E002", "E002", "E003"]),
    (False, GOOD | {"api_key": ""}, ["E002"]),
    (False, GOOD | {"allowed_origins": None}, ["E003"]),
    (False, GOOD | {"allowed_origins": []}, []),
    (False, GOOD | {"allowed_origins": ["*"]}, ["W004"]),
    (True, {"allowed_origins": ["*"]}, []),
    (False, GOOD | {"allowed_origins": ["www.example.com"]}, ["E005"]),
    (False, GOOD | {"default_permissions": ["nowhere.Permission"]}, ["E006"]),
    (False, GOOD | {"default_permissions": ["os.sep"]}, ["E006"]),
    (False, GOOD | {"default_permissions": ["os.getpid"]}, ["E006"]),
    (True, {"handler_modules": ["checks", "handlerz"]}, ["W008"]),
]


@pytest.mark.parametrize(("debug", "config", "expected"), CONFIGURATIONS)
def test_configuration(debug: bool, config: dict[str, Any], expected: list[str]) -> None:
    with override_settings(DEBUG=debug, CENTRIFUGO=config):
        assert ids(checks.check_configuration) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GOOD, []),
        ({"nonsense": 1}, []),
        (GOOD | {"token_secret": "abcde" * 6}, ["W010"]),
        (GOOD | {"token_secret": "abcdefgh" * 4}, []),
        (GOOD | {"token_secret": "t" * 43}, ["W010"]),
        (GOOD | {"token_secret": GOOD["api_key"]}, ["W011"]),
        (GOOD | {"token_ttl_seconds": 3601}, ["W012"]),
    ],
)
def test_deployment(config: dict[str, Any], expected: list[str]) -> None:
    with override_settings(CENTRIFUGO=config):
        assert ids(checks.check_deployment) == expected


@pytest.mark.parametrize(("age", "expected"), [(None, ["W013"]), (0, []), (60, []), (..., [])])
def test_connections_that_are_kept_for_ever(age: object, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    database = {} if age is ... else {"CONN_MAX_AGE": age}
    with override_settings(CENTRIFUGO=GOOD):
        monkeypatch.setattr(settings, "DATABASES", {"default": database})
        assert ids(checks.check_deployment) == expected


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ({"django_cfg": ["django-cfg-realtime"]}, []),
        ({}, []),
        ({"django_cfg": ["django-cfg", "django-cfg-realtime"]}, ["E007"]),
    ],
)
def test_another_distribution(
    owners: dict[str, list[str]], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: owners)
    assert ids(checks.check_distribution) == expected


def test_a_message_never_shows_a_secret() -> None:
    with override_settings(CENTRIFUGO=GOOD | {"token_secret": "canary", "api_key": "canary"}):
        assert "canary" not in str(checks.check_deployment(None))


def test_they_are_registered() -> None:
    with override_settings(DEBUG=False, CENTRIFUGO={}):
        found = [message for message in run_checks() if isinstance(message, Error)]
    assert "django_cfg_centrifugo.E002" in [message.id for message in found]
