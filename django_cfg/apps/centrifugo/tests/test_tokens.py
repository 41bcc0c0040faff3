from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.identity import user_channel
from django_cfg.apps.centrifugo.tests.test_identity import ODD_IDS
from django_cfg.apps.centrifugo.tokens import create_connection_token, create_subscription_token

pytestmark = pytest.mark.usefixtures("development")


def read(token: str, **options: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType] - as in tokens.py
        token, get_config().token_secret, algorithms=["HS256"], **options
    )
    return claims


def test_a_connection_token() -> None:
    before = int(time.time())
    claims = read(create_connection_token("42"))
    assert set(claims) == {"sub", "iat", "exp"}
    assert claims["sub"] == "42"
    assert claims["exp"] - claims["iat"] == 600
    assert before <= claims["iat"] <= time.time()


def test_what_can_be_added() -> None:
    claims = read(create_connection_token(42, ttl_seconds=5, info={"name": "Ann"}, meta={"role": "admin"}))
    assert (claims["sub"], claims["info"], claims["meta"]) == ("42", {"name": "Ann"}, {"role": "admin"})
    assert claims["exp"] - claims["iat"] == 5


def test_a_subscription_token_names_user_and_channel() -> None:
    claims = read(create_subscription_token("42", "data.stream.123"))
    assert (claims["sub"], claims["channel"]) == ("42", "data.stream.123")
    with pytest.raises(ValueError, match="needs a channel"):
        create_subscription_token("42", "")


@override_settings(CENTRIFUGO={"token_audience": "rpc", "token_issuer": "me"})
def test_audience_and_issuer() -> None:
    claims = read(create_connection_token("42"), audience="rpc", issuer="me")
    assert (claims["aud"], claims["iss"]) == ("rpc", "me")


def test_ids_of_other_types() -> None:
    key = uuid.uuid4()
    assert read(create_connection_token(key))["sub"] == str(key)
    assert read(create_connection_token(7))["sub"] == "7"


@pytest.mark.parametrize("visitor", [None, AnonymousUser(), True, b"7", 7.0], ids=repr)
def test_whoever_has_not_signed_in_gets_no_token(visitor: Any) -> None:
    """`request.user.pk` of a visitor is None, whose text would be a proper id."""
    for make in (create_connection_token, partial(create_subscription_token, channel="c"), user_channel):
        with pytest.raises(ValueError, match="no user id: pass the primary key of a user who has signed in"):
            make(visitor)


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_odd_ids_get_no_token(user_id: str) -> None:
    with pytest.raises(ValueError, match="cannot be a user id"):
        create_connection_token(user_id)
    with pytest.raises(ValueError, match="cannot be a user id"):
        create_subscription_token(user_id, "channel")


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_lifetime_must_be_positive(ttl: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        create_connection_token("42", ttl_seconds=ttl)
