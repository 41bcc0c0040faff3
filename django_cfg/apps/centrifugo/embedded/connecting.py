"""Pure: the connect and refresh commands: who a connection is, for how long, and what the server subscribes it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from . import codes
from .codes import ErrorReply, Refusal
from .node import VERSION
from .protocol import ConnectRequest, ConnectResult, SubscribeRequest, SubscribeResult, TokenRequest, TTLResult
from .subscription import SubscribeOptions, capped, subscribe, subscribe_options
from .tokens import ConnectClaims

if TYPE_CHECKING:
    from .session import Session


def connect(session: Session, request: ConnectRequest, now: float) -> ConnectResult | Refusal:
    """Authenticates the connection and subscribes it to what its token says."""
    if session.authenticated:
        return codes.PROTOCOL_ERROR
    claims = _credentials(session, request.token, now)
    if not isinstance(claims, ConnectClaims):
        return claims
    channels = _channels(session, claims, request)
    if not isinstance(channels, dict):
        return channels
    claims = structs.replace(claims, expire_at=capped(claims.expires, now))
    refusal = _limits(session, claims, len(channels), now)
    if refusal is not None:
        return refusal
    _authenticate(session, claims)
    results = _subscribe_all(session, request, channels, now)
    if not isinstance(results, dict):
        return results
    client = session.node.config.client
    return ConnectResult(
        client=session.id,
        version=VERSION,
        expires=session.expire_at > 0,
        ttl=max(session.expire_at - int(now), 0),
        subs=results or UNSET,
        ping=int(client.ping_interval) if client.ping_interval > 0 else 0,
        pong=client.pong_timeout > 0,
    )


def refresh(session: Session, request: TokenRequest, now: float) -> TTLResult | Refusal:
    """A new token for the same user; a changed set of server-side subscriptions needs a new connection."""
    if not request.token:
        return codes.PROTOCOL_ERROR
    claims = session.node.tokens.connection(request.token, now)
    if claims is codes.TOKEN_EXPIRED:
        return codes.CONNECTION_EXPIRED
    if not isinstance(claims, ConnectClaims):
        return claims
    granted = _granted(session, claims)
    if isinstance(granted, ErrorReply):
        return granted
    if claims.sub != session.user:
        return codes.INVALID_TOKEN
    if claims.meta is not UNSET:
        session.meta = claims.meta
    if _changed(session, granted):
        return codes.INSUFFICIENT_STATE
    if not claims.expires:
        return TTLResult()
    expire_at = capped(claims.expires, now)
    ttl = expire_at - int(now)
    if ttl <= 0:
        return codes.EXPIRED
    if claims.info is not UNSET:
        session.info = claims.info
    session.expire_at_time(expire_at, now)
    return TTLResult(expires=True, ttl=ttl)


def _credentials(session: Session, token: str, now: float) -> ConnectClaims | Refusal:
    client = session.node.config.client
    if not token:
        anonymous = client.allow_anonymous_connect_without_token or client.insecure
        return ConnectClaims() if anonymous else codes.PROTOCOL_ERROR
    claims = session.node.tokens.connection(token, now)
    if isinstance(claims, ConnectClaims) and not claims.sub and client.disallow_anonymous_connection_tokens:
        return codes.FORBIDDEN
    return claims


def _channels(
    session: Session, claims: ConnectClaims, request: ConnectRequest
) -> dict[str, SubscribeOptions] | Refusal:
    """From the token, the user's own channel, and what the client asks for and could subscribe itself."""
    channels = _granted(session, claims)
    if not isinstance(channels, dict):
        return channels
    rulebook, personal = session.node.rulebook, session.node.config.client.subscribe_to_user_personal_channel
    if personal.enabled and claims.sub:
        name = rulebook.personal_channel(personal.personal_channel_namespace, claims.sub)
        options = _options(session, name)
        if options is None:
            return codes.UNKNOWN_CHANNEL
        channels[name] = options
    for name in request.subs:
        rules = rulebook.rules(name)
        if rules is None:
            return codes.PROTOCOL_ERROR
        if rules.valid_name(name) and rulebook.may_subscribe_at_connect(name, claims.sub, rules.options):
            channels.setdefault(name, subscribe_options(rules.options, rulebook.meta_ttl_seconds(rules.options)))
    channels.pop("", None)
    return channels


def _granted(session: Session, claims: ConnectClaims) -> dict[str, SubscribeOptions] | ErrorReply:
    """The token's `subs`, or else its `channels`."""
    granted: dict[str, SubscribeOptions] = {}
    for name in claims.subs or claims.channels:
        rules = session.node.rulebook.rules(name)
        if rules is None:
            return codes.UNKNOWN_CHANNEL
        claim = claims.subs.get(name)
        options = subscribe_options(
            rules.options, session.node.rulebook.meta_ttl_seconds(rules.options), claim.override if claim else None
        )
        granted[name] = structs.replace(
            options,
            info=claim.info if claim else UNSET,
            data=claim.data if claim else UNSET,
            from_connection_token=True,
        )
    return granted


def _limits(session: Session, claims: ConnectClaims, channels: int, now: float) -> Refusal | None:
    client = session.node.config.client
    if 0 < client.channel_limit < channels:
        return codes.CHANNEL_LIMIT
    if 0 < client.user_connection_limit <= len(session.node.sessions(claims.sub)) and claims.sub:
        return codes.CONNECTION_LIMIT
    if not client.insecure and 0 < claims.expires < int(now):
        return codes.EXPIRED
    return None


def _authenticate(session: Session, claims: ConnectClaims) -> None:
    session.user, session.info, session.meta = claims.sub, claims.info, claims.meta
    session.expire_at = 0 if session.node.config.client.insecure else claims.expires
    session.authenticated = True
    session.node.add(session)


def _subscribe_all(
    session: Session, request: ConnectRequest, channels: dict[str, SubscribeOptions], now: float
) -> dict[str, SubscribeResult] | ErrorReply:
    results: dict[str, SubscribeResult] = {}
    for name, options in channels.items():
        asked = request.subs.get(name, SubscribeRequest())
        wanted = SubscribeRequest(name, recover=asked.recover, epoch=asked.epoch, offset=asked.offset)
        result = subscribe(session, wanted, options, now, server_side=True)
        if isinstance(result, ErrorReply):
            return result
        results[name] = result
    return results


def _changed(session: Session, granted: dict[str, SubscribeOptions]) -> bool:
    if any(name not in session.subscriptions for name in granted):
        return True
    held = [name for name, s in session.subscriptions.items() if s.options.from_connection_token]
    return any(name not in granted for name in held)


def _options(session: Session, channel: str) -> SubscribeOptions | None:
    rulebook = session.node.rulebook
    rules = rulebook.rules(channel)
    return None if rules is None else subscribe_options(rules.options, rulebook.meta_ttl_seconds(rules.options))
