"""Who is believed, over real sockets: certificates, tokens and API keys, each for its role alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import service_metadata
from django_cfg.apps.integrations.grpc.tokens import create_agent_token, create_service_token
from tests.grpc.certificates import Authority, Pair
from tests.grpc.echoing import SECRET, ask, connect, opened, refusal, serving

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
KEY = "an-api-key-for-tests-of-32-characters-or-more"
TOKENS = GRPCConfig(agent_tokens="required", token_secret=SECRET, service_api_keys=[KEY])


@pytest.fixture(autouse=True)
def project_settings(settings: Any) -> None:
    settings.GRPC = TOKENS.to_django_settings()["GRPC"]


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


def signed(secret: str = SECRET, algorithm: str = "HS256", typ: str | None = "grpc-agent+jwt", **changed: Any) -> str:
    """An agent's token, with claims replaced, or left out where None is given."""
    now = int(time.time())
    claims = {"sub": "bot-1", "aud": "grpc-agent", "iat": now, "exp": now + 60, **changed}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm, headers={"typ": typ})


@pytest.mark.parametrize("method", ["Stream", "Held"])
async def test_a_token_says_who_an_agent_is(method: str) -> None:
    async with serving(TOKENS) as address:
        assert await connect(TOKENS, address, bearer(create_agent_token("bot-1")), method=method) == "bot-1"
        assert await connect(TOKENS, address, bearer(signed())) == "bot-1"


@pytest.mark.parametrize(
    "credential",
    [bearer(signed(exp=int(time.time()) - 60)), ("x-other", "")],
    ids=["expired", "missing"],
)
async def test_an_agent_without_a_good_token_is_refused(credential: tuple[str, str]) -> None:
    async with serving(TOKENS) as address:
        assert (await refusal(connect(TOKENS, address, credential)))[0] is UNAUTHENTICATED


FORGED: dict[str, Callable[[], str]] = {
    "another secret": lambda: signed("another-secret-of-more-than-32-characters"),
    "no algorithm": lambda: signed("", "none"),
    "another algorithm": lambda: signed("x" * 64 + SECRET, "HS512"),
    "another audience": lambda: signed(aud="browser"),
    "several audiences": lambda: signed(aud=["grpc-agent", "grpc-service"]),
    "no audience": lambda: signed(aud=None),
    "no expiry": lambda: signed(exp=None),
    "an expiry that is no number": lambda: signed(exp="never"),
    "no subject": lambda: signed(sub=None),
    "an empty subject": lambda: signed(sub=""),
    "a subject with a line break": lambda: signed(sub="bot\n1"),
    "an overlong subject": lambda: signed(sub="b" * 201),
    "another type": lambda: signed(typ="JWT"),
    "a service's type": lambda: signed(typ="grpc-service+jwt"),
    "no token": lambda: "not.a.token",
}


async def test_forged_tokens_are_refused_without_a_reason_to_learn_from() -> None:
    async with serving(TOKENS) as address:
        for what, forge in FORGED.items():
            found = await refusal(connect(TOKENS, address, bearer(forge())))
            assert found == (UNAUTHENTICATED, "the token is not valid"), what


async def test_roles_may_not_do_what_the_other_does() -> None:
    agent, service = bearer(create_agent_token("bot-1")), bearer(create_service_token("web"))
    async with serving(TOKENS) as address:
        for credential in (service, ("x-api-key", KEY)):
            assert "SERVICE" in await ask(TOKENS, address, credential)
            refused = await refusal(connect(TOKENS, address, credential))
            assert refused == (PERMISSION_DENIED, "this method is not for services")
        assert await refusal(ask(TOKENS, address, agent)) == (PERMISSION_DENIED, "this method is not for agents")
        async with opened(TOKENS, address) as channel:
            call: Any = channel.unary_unary("/django_cfg.grpc.Agents/ListAgents")
            assert (await refusal(call(b"", metadata=(agent,))))[0] is PERMISSION_DENIED
            assert (await refusal(call(b"")))[0] is UNAUTHENTICATED
            assert b'"agents"' in await call(b"", metadata=(service,))


async def test_the_projects_own_clients_have_credentials() -> None:
    async with serving(TOKENS) as address:
        assert "api-key" in await ask(TOKENS, address, *service_metadata(TOKENS))
        without_keys = TOKENS.model_copy(update={"service_api_keys": []})
        assert "django" in await ask(TOKENS, address, *service_metadata(without_keys))


async def test_api_keys_that_are_wrong_or_come_with_a_token_are_refused() -> None:
    async with serving(TOKENS) as address:
        for key in (KEY[:-1], KEY + "x", "x" * len(KEY)):
            found = await refusal(ask(TOKENS, address, ("x-api-key", key)))
            assert found == (UNAUTHENTICATED, "the API key is not known")
        both = (("x-api-key", KEY), bearer(create_service_token("web")))
        assert (await refusal(ask(TOKENS, address, *both)))[0] is UNAUTHENTICATED


async def test_health_needs_no_credentials() -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with serving(TOKENS) as address, opened(TOKENS, address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_without_configured_credentials_everybody_may_do_everything() -> None:
    config = GRPCConfig()
    async with serving(config) as address:
        assert await connect(config, address) == "None"
        assert await ask(config, address) == "None"


async def test_an_api_key_alone_guards_orders_alone() -> None:
    config = GRPCConfig(service_api_keys=[KEY])
    async with serving(config) as address:
        assert await connect(config, address) == "None"
        assert (await refusal(ask(config, address)))[0] is UNAUTHENTICATED
        assert (await refusal(connect(config, address, ("x-api-key", KEY))))[0] is PERMISSION_DENIED


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_settings(authority: Authority) -> dict[str, Any]:
    pair = authority.issue("localhost", "127.0.0.1")
    return {
        "tls_certificate": str(pair.certificate),
        "tls_key": str(pair.key),
        "client_ca": str(authority.path),
        "server_ca": str(authority.path),
        "service_sans": ["spiffe://test/web"],
    }


def with_certificate(given: dict[str, Any], pair: Pair) -> GRPCConfig:
    return GRPCConfig(**given, client_certificate=str(pair.certificate), client_key=str(pair.key))


async def test_a_certificate_says_who_calls(authority: Authority, server_settings: dict[str, Any]) -> None:
    bot = with_certificate(server_settings, authority.issue("bot-1"))
    web = with_certificate(server_settings, authority.issue("spiffe://test/web"))
    async with serving(bot) as address:
        assert await connect(bot, address) == "bot-1"
        assert (await refusal(ask(bot, address)))[0] is PERMISSION_DENIED
        assert "spiffe://test/web" in await ask(web, address)
        assert (await refusal(connect(web, address)))[0] is PERMISSION_DENIED


async def test_a_certificate_must_name_one_agent(authority: Authority, server_settings: dict[str, Any]) -> None:
    given = {**server_settings, "agent_san_prefix": "spiffe://test/agent/"}
    good = with_certificate(given, authority.issue("other.example", "spiffe://test/agent/bot-1"))
    bad = [
        authority.issue("bot-1", file="no-prefix"),
        authority.issue("spiffe://test/agent/bot-1", "spiffe://test/agent/bot-2", file="two"),
        authority.issue("spiffe://test/agent/", file="empty"),
        authority.issue(file="nameless"),
    ]
    async with serving(good) as address:
        assert await connect(good, address) == "bot-1"
        for pair in bad:
            code, _ = await refusal(connect(with_certificate(given, pair), address))
            assert code is UNAUTHENTICATED, pair


async def test_no_certificate_or_another_authoritys_gets_no_connection(
    tmp_path: Path, authority: Authority, server_settings: dict[str, Any]
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("bot-1")
    async with serving(with_certificate(server_settings, authority.issue("bot-1"))) as address:
        for config in (GRPCConfig(**server_settings), with_certificate(server_settings, stranger)):
            assert (await refusal(connect(config, address)))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await refusal(connect(GRPCConfig(), address)))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_stolen_token_is_of_no_use_with_another_certificate(
    authority: Authority, server_settings: dict[str, Any]
) -> None:
    given = {**server_settings, "agent_tokens": "required", "token_secret": SECRET}
    thief = with_certificate(given, authority.issue("bot-2"))
    owner = with_certificate(given, authority.issue("bot-1"))
    token = bearer(create_agent_token("bot-1"))
    async with serving(owner) as address:
        assert await connect(owner, address, token) == "bot-1"
        assert (await refusal(connect(thief, address, token)))[0] is UNAUTHENTICATED
        assert (await refusal(connect(owner, address)))[1] == "agents need a token"
