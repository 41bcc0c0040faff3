"""Which tokens count, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from django_cfg.apps.centrifugo.embedded.codes import INTERNAL, INVALID_TOKEN, TOKEN_EXPIRED, Disconnect, ErrorReply
from django_cfg.apps.centrifugo.embedded.config import SubscriptionToken, Token
from django_cfg.apps.centrifugo.embedded.tokens import ConnectClaims, SubscribeClaims, TokenVerifier

from .embedded_world import signed

KEY, OLD_KEY, NOW = "k" * 64, "o" * 64, 1_000_000.0


def verify(claims: dict[str, Any], key: str = KEY, alg: str = "HS256", **config: Any) -> object:
    verifier = TokenVerifier(Token(hmac_secret_key=KEY, **config), SubscriptionToken())
    return verifier.connection(signed(claims, key, alg), NOW)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_all_hmac_algorithms_count(alg: str) -> None:
    claims = verify({"sub": "42", "info": {"a": 1.50}, "exp": NOW + 1}, alg=alg)
    assert isinstance(claims, ConnectClaims)
    assert (claims.sub, claims.expires) == ("42", int(NOW) + 1)
    assert isinstance(claims.info, Raw)
    assert bytes(claims.info) == b'{"a": 1.5}'


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        ({"sub": "42", "exp": NOW}, TOKEN_EXPIRED),
        ({"sub": "42", "nbf": NOW}, TOKEN_EXPIRED),
        ({"sub": 42}, INVALID_TOKEN),
        ({"sub": "42", "channel": "plain:a"}, INVALID_TOKEN),
        ({"sub": "42", "exp": "soon"}, INVALID_TOKEN),
        ({"sub": "42", "exp": 10**400}, INVALID_TOKEN),
        ({"sub": "42", "subs": ["a"]}, INVALID_TOKEN),
    ],
)
def test_refused_claims(claims: dict[str, Any], outcome: Disconnect | ErrorReply) -> None:
    assert verify(claims) == outcome


def test_null_claims_are_like_none() -> None:
    nulls = dict.fromkeys(["sub", "exp", "nbf", "aud", "iss", "expire_at", "channel", "channels", "subs", "b64info"])
    claims = verify({**nulls, "info": None})
    assert isinstance(claims, ConnectClaims)
    assert (claims.sub, claims.expires, claims.channels, claims.subs) == ("", 0, [], {})
    assert isinstance(claims.info, Raw)
    assert bytes(claims.info) == b"null"


def test_info_and_data_may_come_in_base64() -> None:
    subs = {"a": {"b64info": "eyJhIjoxfQ==", "b64data": "Mg==", "data": 1, "override": {"presence": {"value": True}}}}
    claims = verify({"sub": "42", "b64info": "WzFd", "info": {"x": 1}, "subs": subs})
    assert isinstance(claims, ConnectClaims)
    assert claims.info == Raw(b"[1]")
    assert (claims.subs["a"].info, claims.subs["a"].data) == (Raw(b'{"a":1}'), Raw(b"2"))
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken())
    claims = verifier.subscription(signed({"sub": "42", "channel": "a", "b64data": "Mg=="}, KEY), NOW)
    assert isinstance(claims, SubscribeClaims)
    assert claims.data == Raw(b"2")


def test_base64_that_is_not_json_is_refused() -> None:
    assert verify({"sub": "42", "b64info": "bm8="}) == INTERNAL
    assert verify({"sub": "42", "subs": {"a": {"b64data": "!"}}}) == INVALID_TOKEN
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken())
    assert verifier.subscription(signed({"sub": "42", "channel": "a", "b64info": "!"}, KEY), NOW) == INVALID_TOKEN


def test_an_unsigned_token_proves_nothing() -> None:
    assert verify({"sub": "42"}, alg="none") == INVALID_TOKEN


def test_the_algorithm_named_is_the_one_used() -> None:
    head, payload, _ = signed({"sub": "42"}, KEY, "HS512").split(".")
    _, _, signature = signed({"sub": "42"}, KEY, "HS256").split(".")
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken())
    assert verifier.connection(f"{head}.{payload}.{signature}", NOW) == INVALID_TOKEN


def test_no_key_means_no_token() -> None:
    verifier = TokenVerifier(Token(), SubscriptionToken())
    assert verifier.connection(signed({"sub": "42"}, ""), NOW) == INVALID_TOKEN


@pytest.mark.parametrize(("until", "accepted"), [(0, True), (int(NOW) + 1, True), (int(NOW), False)])
def test_the_previous_key_counts_for_a_while(until: int, accepted: bool) -> None:
    rotation: dict[str, Any] = {"hmac_previous_secret_key": OLD_KEY, "hmac_previous_secret_key_valid_until": until}
    assert isinstance(verify({"sub": "42"}, OLD_KEY, **rotation), ConnectClaims) == accepted
    assert verify({"sub": "42"}, OLD_KEY) == INVALID_TOKEN


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"aud": "a", "iss": "i"}, True),
        ({"aud": ["b", "a"], "iss": "i"}, True),
        ({"aud": "b", "iss": "i"}, False),
        ({"aud": "a", "iss": "j"}, False),
        ({}, False),
    ],
)
def test_audience_and_issuer(claims: dict[str, Any], accepted: bool) -> None:
    got = verify({"sub": "42", **claims}, audience="a", issuer="i")
    assert isinstance(got, ConnectClaims) == accepted


def test_subscription_tokens_may_have_a_key_of_their_own() -> None:
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken(hmac_secret_key=OLD_KEY, enabled=True))
    claims = {"sub": "42", "channel": "c"}
    assert isinstance(verifier.subscription(signed(claims, OLD_KEY), NOW), SubscribeClaims)
    assert verifier.subscription(signed(claims, KEY), NOW) == INVALID_TOKEN
    assert verifier.subscription(signed({"sub": "42"}, OLD_KEY), NOW) == INVALID_TOKEN


@given(st.text() | st.from_regex(r"[A-Za-z0-9_.=-]{0,60}"))
def test_any_text_is_no_token(text: str) -> None:
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken())
    assert verifier.connection(text, NOW) == INVALID_TOKEN


@given(st.binary(max_size=80))
def test_any_payload_is_claims_or_refused(payload: bytes) -> None:
    token = signed(payload, KEY)
    verifier = TokenVerifier(Token(hmac_secret_key=KEY), SubscriptionToken())
    assert isinstance(verifier.connection(token, NOW), ConnectClaims | Disconnect | ErrorReply)
