from __future__ import annotations

from typing import Any

import jwt
import pytest
from django.test import override_settings

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.identity import (
    LEEWAY_SECONDS,
    Caller,
    Credentials,
    Refused,
    Role,
    admit,
    caller_id,
    current_caller,
    identify,
    is_id,
)
from django_cfg.apps.integrations.grpc.tokens import create_agent_token, create_service_token
from django_cfg.errors import ConfigurationError

SECRET = "a-secret-for-tests-of-more-than-32-characters"
KEY = "an-api-key-for-tests-of-32-characters-or-more"
NOW = 1_000_000.0
TLS: dict[str, Any] = {"tls_certificate": "c", "tls_key": "k", "client_ca": "ca"}
TOKENS = GRPCConfig(agent_tokens="required", token_secret=SECRET, service_api_keys=[KEY])
MTLS = GRPCConfig(**TLS, service_sans=["web.example"])
AGENT, SERVICE = Caller(Role.AGENT, "bot-1"), Caller(Role.SERVICE, "api-key")


def token(**changed: Any) -> str:
    claims = {"sub": "bot-1", "aud": "grpc-agent", "iat": int(NOW), "exp": int(NOW) + 60, **changed}
    return jwt.encode(claims, SECRET, "HS256", headers={"typ": "grpc-agent+jwt"})


def test_a_token_counts_until_it_expires_by_the_given_clock() -> None:
    given = Credentials(bearer_token=token())
    assert identify(given, TOKENS, NOW) == AGENT
    assert identify(given, TOKENS, NOW + 60 + LEEWAY_SECONDS - 1) == AGENT
    assert identify(given, TOKENS, NOW + 60 + LEEWAY_SECONDS) == Refused("the token has expired", guessed=False)
    assert identify(given, TOKENS, NOW - LEEWAY_SECONDS) == AGENT
    assert LEEWAY_SECONDS == 30
    _assert_early(token(), NOW - LEEWAY_SECONDS - 1)
    _assert_early(token(iat=int(NOW) - 100, nbf=int(NOW)), NOW - LEEWAY_SECONDS - 1)
    assert identify(Credentials(bearer_token=token(nbf=int(NOW))), TOKENS, NOW - LEEWAY_SECONDS) == AGENT


def _assert_early(bearer_token: str, now: float) -> None:
    """Whoever has the secret guesses nothing, and is told where to look."""
    found = identify(Credentials(bearer_token=bearer_token), TOKENS, now)
    assert isinstance(found, Refused)
    assert not found.guessed
    assert "in 31 s" in found.reason
    assert "clock" in found.reason


def test_nothing_is_believed_where_nothing_is_configured_for_it() -> None:
    nothing = GRPCConfig()
    for given in (Credentials(bearer_token=token()), Credentials(api_key=KEY), Credentials()):
        assert isinstance(identify(given, nothing, NOW), Refused)
    assert identify(Credentials(bearer_token=jwt.encode({"sub": "bot-1"}, "", "none")), nothing, NOW) == Refused(
        "tokens are not accepted here"
    )


@pytest.mark.parametrize(
    ("names", "prefix", "found"),
    [
        (("bot-1",), "", AGENT),
        (("bot-1", "bot-1"), "", AGENT),
        (("bot-1", "bot-2"), "", None),
        (("other", "spiffe://x/agent/bot-1"), "spiffe://x/agent/", AGENT),
        (("spiffe://x/agent/",), "spiffe://x/agent/", None),
        (("bot-1",), "spiffe://x/agent/", None),
        (("web.example",), "", Caller(Role.SERVICE, "web.example")),
        (("bot-1", "web.example"), "", Caller(Role.SERVICE, "web.example")),
        (("b" * 201,), "", None),
    ],
)
def test_a_certificate_names_a_service_or_exactly_one_agent(
    names: tuple[str, ...], prefix: str, found: Caller | None
) -> None:
    config = MTLS.model_copy(update={"agent_san_prefix": prefix})
    identified = identify(Credentials(names=names), config, NOW)
    assert identified == found if found else isinstance(identified, Refused)


def test_a_token_and_a_certificate_must_agree() -> None:
    config = GRPCConfig(**TLS, agent_tokens="required", token_secret=SECRET, agent_san_prefix="agent-")
    assert identify(Credentials(("agent-bot-1",), token()), config, NOW) == AGENT
    assert identify(Credentials(("fleet.example",), token()), config, NOW) == AGENT
    assert isinstance(identify(Credentials(("agent-bot-2",), token()), config, NOW), Refused)


@pytest.mark.parametrize(
    ("given", "role", "config", "found"),
    [
        (Credentials(), Role.AGENT, GRPCConfig(), None),
        (Credentials(), Role.SERVICE, GRPCConfig(), None),
        (Credentials(bearer_token="not ours"), Role.SERVICE, GRPCConfig(), None),
        (Credentials(), Role.AGENT, GRPCConfig(service_api_keys=[KEY]), None),
        (Credentials(), Role.SERVICE, GRPCConfig(service_api_keys=[KEY]), "credentials are missing"),
        (Credentials(api_key=KEY), Role.AGENT, GRPCConfig(service_api_keys=[KEY]), "this method is not for services"),
        (Credentials(api_key=KEY), Role.SERVICE, TOKENS, SERVICE),
        (Credentials(bearer_token=token()), Role.AGENT, TOKENS, AGENT),
        (Credentials(bearer_token=token()), Role.SERVICE, TOKENS, "this method is not for agents"),
        (Credentials(), Role.AGENT, TOKENS, "credentials are missing"),
        (Credentials(("bot-1",)), Role.AGENT, MTLS, AGENT),
        (
            Credentials(("bot-1",)),
            Role.AGENT,
            MTLS.model_copy(update={"agent_tokens": "required"}),
            "agents need a token",
        ),
    ],
)
def test_each_role_has_its_methods(
    given: Credentials, role: Role, config: GRPCConfig, found: Caller | str | None
) -> None:
    admitted = admit(given, role, config, NOW)
    assert (admitted.reason if isinstance(admitted, Refused) else admitted) == found


def test_only_an_agent_has_an_agents_id() -> None:
    for caller, agent_id in ((None, None), (SERVICE, None), (AGENT, "bot-1")):
        reset = current_caller.set(caller)
        assert caller_id(object()) == agent_id
        current_caller.reset(reset)


def test_ids_are_short_and_printable() -> None:
    assert is_id("bot 1/ü")
    assert not any(is_id(text) for text in ("", "a\nb", "a\x00", "b" * 201))


def test_tokens_are_signed_for_one_role() -> None:
    import time

    with override_settings(GRPC={"token_secret": SECRET}):
        for create, role in ((create_agent_token, Role.AGENT), (create_service_token, Role.SERVICE)):
            assert identify(Credentials(bearer_token=create("x")), TOKENS, time.time()) == Caller(role, "x")
    with override_settings(DEBUG=False, GRPC={}), pytest.raises(ConfigurationError, match="no token_secret"):
        create_agent_token("bot-1")
