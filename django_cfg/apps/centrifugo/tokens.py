"""Tokens that Centrifugo verifies (https://centrifugal.dev/docs/server/authentication and .../channel_token_auth)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.identity import UserId, read_user_id

__all__ = ["create_connection_token", "create_subscription_token"]


def create_connection_token(
    user_id: UserId,
    *,
    ttl_seconds: int | None = None,
    info: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> str:
    """A JWT that connects as `user_id`. `info` is shown to other clients, `meta` only to handlers (`conn.meta`).

    Raises ValueError for what is no user id (None is that of visitors), or a lifetime that is not positive.
    """
    extra = {"info": info, "meta": meta}
    return _sign(user_id, ttl_seconds, {k: dict(v) for k, v in extra.items() if v is not None})


def create_subscription_token(user_id: UserId, channel: str, *, ttl_seconds: int | None = None) -> str:
    """A JWT that lets `user_id`, and nobody else, subscribe to `channel`; check first that the user may.

    Raises ValueError for an impossible id, an empty channel, or a lifetime that is not positive.
    """
    if not channel:
        raise ValueError("a subscription token needs a channel")
    return _sign(user_id, ttl_seconds, {"channel": channel})


def _sign(user_id: UserId, ttl_seconds: int | None, claims: dict[str, Any]) -> str:
    config = get_config()
    return jwt.encode(  # pyright: ignore[reportUnknownMemberType] - one of its key types comes without annotations
        {**_standard_claims(read_user_id(user_id), ttl_seconds, config), **claims},
        config.token_secret,
        algorithm="HS256",
    )


def _standard_claims(user_id: str, ttl_seconds: int | None, config: CentrifugoConfig) -> dict[str, Any]:
    ttl = config.token_ttl_seconds if ttl_seconds is None else ttl_seconds
    if ttl <= 0:
        raise ValueError(f"ttl_seconds must be positive, not {ttl}")
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user_id, "iat": now, "exp": now + ttl}
    if config.token_audience:
        claims["aud"] = config.token_audience
    if config.token_issuer:
        claims["iss"] = config.token_issuer
    return claims
