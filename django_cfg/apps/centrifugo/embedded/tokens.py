"""Pure: what connection and subscription tokens say (https://centrifugal.dev/docs/server/authentication).

Only HMAC signatures count, with SHA-256, SHA-384 or SHA-512; the algorithm of a token is looked up, never trusted.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, structs

from .codes import INTERNAL, INVALID_TOKEN, TOKEN_EXPIRED, Disconnect, ErrorReply
from .config import SubscriptionToken, Token
from .json_text import decode_base64_json, decode_json, is_utf8
from .protocol import Opaque

_DIGESTS: dict[str, Callable[..., Any]] = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


class Flag(msgspec.Struct, frozen=True):
    """An option that the token sets itself."""

    value: bool = False


class Override(msgspec.Struct, frozen=True):
    """Channel options that hold for this subscription only."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_push_join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None


class SubscriptionClaims(msgspec.Struct, frozen=True):
    """One entry of `subs`, and the corresponding part of a subscription token; `b64info` and `b64data` win."""

    info: Opaque = UNSET
    b64info: str = ""
    data: Opaque = UNSET
    b64data: str = ""
    override: Override = Override()


class _Claims(msgspec.Struct, frozen=True):
    sub: str = ""
    exp: float | None = None
    nbf: float | None = None
    aud: str | list[str] = ""
    iss: str = ""
    expire_at: int | None = None
    channel: str = ""

    @property
    def expires(self) -> int:
        """When what the token opened ends, as Unix time; 0 for never."""
        if self.expire_at is not None:
            return max(self.expire_at, 0)
        return int(self.exp or 0)


class ConnectClaims(_Claims, frozen=True):
    """`meta` goes to the backend only; `info` is what other clients see."""

    info: Opaque = UNSET
    b64info: str = ""
    meta: Opaque = UNSET
    channels: list[str] = []
    subs: dict[str, SubscriptionClaims] = {}


class SubscribeClaims(_Claims, frozen=True):
    """Opens `channel` to `sub`, or to its connection `client` alone."""

    client: str = ""
    info: Opaque = UNSET
    b64info: str = ""
    data: Opaque = UNSET
    b64data: str = ""
    override: Override = Override()


class _Header(msgspec.Struct, frozen=True):
    alg: str = ""


_CONNECT = msgspec.json.Decoder(ConnectClaims)
_SUBSCRIBE = msgspec.json.Decoder(SubscribeClaims)

_T = TypeVar("_T", bound=_Claims)
_P = TypeVar("_P", ConnectClaims, SubscribeClaims, SubscriptionClaims)


class TokenVerifier:
    """Checks signature, audience, issuer and time."""

    def __init__(self, connection: Token, subscription: SubscriptionToken) -> None:
        self._connection = connection
        self._subscription = subscription if subscription.enabled else connection

    def connection(self, token: str, now: float) -> ConnectClaims | Disconnect | ErrorReply:
        """3500 for a token that proves nothing, 109 for one outside its time, 100 for `b64info` that is not JSON."""
        claims = _verify(token, _CONNECT, self._connection, now)
        if claims is None or claims.channel:
            return INVALID_TOKEN
        if not _is_current(claims, now):
            return TOKEN_EXPIRED
        subs = {name: _unpacked(claim) for name, claim in claims.subs.items()}
        known = {name: claim for name, claim in subs.items() if claim is not None}
        if len(known) < len(subs):
            return INVALID_TOKEN
        return _unpacked(structs.replace(claims, subs=known)) or INTERNAL

    def subscription(self, token: str, now: float) -> SubscribeClaims | Disconnect | ErrorReply:
        """As for connections; a token without a channel proves nothing."""
        claims = _verify(token, _SUBSCRIBE, self._subscription, now)
        if claims is None:
            return INVALID_TOKEN
        if not _is_current(claims, now):
            return TOKEN_EXPIRED
        return (_unpacked(claims) if claims.channel else None) or INVALID_TOKEN


def _unpacked(claims: _P) -> _P | None:
    """With what the claims carry in base64; None when that is not JSON."""
    packed = {name: getattr(claims, f"b64{name}", "") for name in ("info", "data")}
    found = {name: decode_base64_json(text) for name, text in packed.items() if text}
    return None if None in found.values() else structs.replace(claims, **found)


def _verify(token: str, decoder: msgspec.json.Decoder[_T], config: Token, now: float) -> _T | None:
    try:
        head, payload, signature = token.encode().split(b".")
        digest = _DIGESTS.get(msgspec.json.decode(_unpad(head), type=_Header).alg)
        signed, given = head + b"." + payload, _unpad(signature)
        if digest is None or not any(_matches(key, signed, digest, given) for key in _keys(config, now)):
            return None
        text = _unpad(payload)
        claims = decode_json(text, decoder) if is_utf8(text) else None
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        return None
    return claims if claims is not None and _is_meant_for(claims, config) else None


def _keys(config: Token, now: float) -> list[str]:
    until = config.hmac_previous_secret_key_valid_until
    previous = config.hmac_previous_secret_key if not until or now < until else ""
    return [key for key in (config.hmac_secret_key, previous) if key]


def _matches(key: str, signed: bytes, digest: Callable[..., Any], given: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key.encode(), signed, digest), given)


def _is_meant_for(claims: _Claims, config: Token) -> bool:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    return (not config.audience or config.audience in audiences) and (
        not config.issuer or hmac.compare_digest(config.issuer.encode(), claims.iss.encode())
    )


def _is_current(claims: _Claims, now: float) -> bool:
    return (claims.exp is None or now < claims.exp) and (claims.nbf is None or claims.nbf < now)


def _unpad(part: bytes) -> bytes:
    return b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
