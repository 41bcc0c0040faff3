"""Signed tokens by which agents and services say who they are: JWT with HS256, one audience and one type per role."""

from __future__ import annotations

import secrets
import time

import jwt

from django_cfg.apps.integrations.grpc.agent_ids import AgentId, agent_id_of
from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.identity import AUDIENCES, Role, is_id, token_type
from django_cfg.errors import ConfigurationError

__all__ = ["create_agent_token", "create_service_token"]

DEFAULT_TTL_SECONDS = 3600
LONGEST_TTL_SECONDS = 10 * 365 * 24 * 3600


def create_agent_token(agent_id: AgentId, *, ttl_seconds: int = DEFAULT_TTL_SECONDS) -> str:
    """Opens streams as that agent, for `authorization: Bearer ...`; a stream that is open outlives its token.

    Raises ValueError for an impossible id or lifetime, ConfigurationError where there is no secret to sign with.
    """
    return _sign(Role.AGENT, agent_id_of(agent_id), ttl_seconds)


def create_service_token(name: str, *, ttl_seconds: int = DEFAULT_TTL_SECONDS) -> str:
    """Gives orders to agents and lists them; `name` stands in logs. Raises as `create_agent_token`."""
    return _sign(Role.SERVICE, name, ttl_seconds)


def _sign(role: Role, subject: str, ttl_seconds: int) -> str:
    secret = get_config().token_secret
    if not secret:
        raise ConfigurationError("settings.GRPC has no token_secret, so no token can be signed.")
    if not is_id(subject):
        raise ValueError(f"{subject!r} cannot be an id: use 1 to 200 printable characters")
    if not 0 < ttl_seconds <= LONGEST_TTL_SECONDS:
        raise ValueError(
            f"ttl_seconds must be positive and at most {LONGEST_TTL_SECONDS} (ten years), not {ttl_seconds}"
        )
    now = int(time.time())
    claims = {
        "sub": subject,
        "aud": AUDIENCES[role],
        "iat": now,
        "exp": now + ttl_seconds,
        "jti": secrets.token_urlsafe(12),
    }
    headers = {"typ": token_type(role)}
    return jwt.encode(  # pyright: ignore[reportUnknownMemberType] - one of its key types comes without annotations
        claims, secret, algorithm="HS256", headers=headers
    )
