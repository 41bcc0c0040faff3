from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from django_cfg import DjangoConfig
from django_cfg.apps.centrifugo.conf import SECRETS, get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.secrets import derive_secret

pytestmark = pytest.mark.usefixtures("development")

FULL: dict[str, Any] = {name: name * 4 for name in SECRETS}


def test_override_settings_is_seen_and_forgotten() -> None:
    with override_settings(CENTRIFUGO={"history_size": 7}):
        assert get_config().history_size == 7
        with override_settings(CENTRIFUGO={"history_size": 8}):
            assert get_config().history_size == 8
        assert get_config().history_size == 7
    assert get_config().history_size == 64


def test_a_typed_config_is_taken_as_it_is() -> None:
    config = CentrifugoConfig(history_size=9)
    with override_settings(CENTRIFUGO=config):
        assert get_config().history_size == 9
    with override_settings(**DjangoConfig(centrifugo=config).to_django_settings()):
        assert get_config().history_size == 9
    assert DjangoConfig(centrifugo=config).to_django_settings() == {"CENTRIFUGO": {"history_size": 9}}
    assert DjangoConfig().to_django_settings() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"token_secrett": "x"}, "unknown key 'token_secrett' (did you mean 'token_secret'?)"),
        ({"HISTORY": 5}, "unknown key 'HISTORY' (did you mean "),
        ({1: 2}, "unknown key '1' (did you mean "),
        ({"history_size": 0}, "settings.CENTRIFUGO['history_size']: Input should be greater than 0"),
        ({"history_ttl_seconds": "soon"}, "settings.CENTRIFUGO['history_ttl_seconds']: "),
        ({"longest_timeout_seconds": float("inf")}, "settings.CENTRIFUGO['longest_timeout_seconds']: "),
        ({"default_timeout_seconds": 90}, "default_timeout_seconds is above longest_timeout_seconds"),
        ({"handler_modules": ["../x"]}, "'../x' is no module name"),
        ({"api_url": "localhost:8000"}, "'localhost:8000' is no http or https URL"),
        ("text", "settings.CENTRIFUGO must be a dict, not str"),
        (None, "settings.CENTRIFUGO must be a dict, not NoneType"),
    ],
)
def test_mistakes_name_the_key(given: object, message: str) -> None:
    with override_settings(CENTRIFUGO=given), pytest.raises(ConfigurationError) as caught:
        get_config()
    assert message in str(caught.value)


def test_a_mistake_never_shows_a_secret() -> None:
    with (
        override_settings(CENTRIFUGO={"token_secret": ["canary-secret"]}),
        pytest.raises(ConfigurationError) as caught,
    ):
        get_config()
    assert "canary-secret" not in str(caught.value)


def test_development_secrets_are_stable_and_different() -> None:
    with override_settings(DEBUG=True):
        config = get_config()
    given = [getattr(config, name) for name in SECRETS]
    assert len(set(given)) == len(SECRETS)
    assert given == [derive_secret(settings.SECRET_KEY, f"centrifugo:{name}") for name in SECRETS]
    assert all(len(secret) == 64 and settings.SECRET_KEY not in secret for secret in given)
    with override_settings(SECRET_KEY="another", DEBUG=True):
        assert get_config().token_secret != config.token_secret


def test_without_debug_missing_secrets_are_an_error() -> None:
    with override_settings(DEBUG=False, CENTRIFUGO={}), pytest.raises(ConfigurationError, match=", ".join(SECRETS)):
        get_config()
    with override_settings(DEBUG=False, CENTRIFUGO=FULL):
        assert get_config().api_key == FULL["api_key"]
    with (
        override_settings(DEBUG=False, CENTRIFUGO=FULL | {"api_key": ""}),
        pytest.raises(ConfigurationError, match="has no api_key"),
    ):
        get_config()


def test_urls_lose_their_last_slash() -> None:
    config = CentrifugoConfig(api_url="http://x/api/", proxy_url="https://y/")
    assert (config.api_url, config.proxy_url) == ("http://x/api", "https://y")


def test_the_proxy_waits_longer_than_any_call() -> None:
    config = CentrifugoConfig(longest_timeout_seconds=90)
    assert config.proxy_timeout_seconds > config.longest_timeout_seconds
