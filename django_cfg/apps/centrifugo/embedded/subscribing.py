"""Pure: the subscribe, unsubscribe and sub_refresh commands, and subscriptions that the server API makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from . import codes
from .codes import ErrorReply, Refusal
from .protocol import (
    ChannelRequest,
    Nothing,
    Push,
    SubscribePush,
    SubscribeRequest,
    SubscribeResult,
    TokenRequest,
    TTLResult,
    encode_push,
)
from .subscription import SubscribeOptions, capped, subscribe, subscribe_options
from .tokens import SubscribeClaims

if TYPE_CHECKING:
    from .session import Session


DELTAS = ("", "fossil")
"""What a subscribe command may ask for; the reply grants none, so that whole publications follow."""


def subscribe_command(session: Session, request: SubscribeRequest, now: float) -> SubscribeResult | Refusal:
    """Subscribes if the name is good, the limits allow it and somebody permits it."""
    if request.delta not in DELTAS:
        return codes.PROTOCOL_ERROR
    refusal = _limits(session, request.channel)
    if refusal is not None:
        return refusal
    options = _permitted(session, request, now)
    if not isinstance(options, SubscribeOptions):
        return options
    if request.tf is not None:
        return codes.BAD_REQUEST
    return subscribe(session, request, options, now, server_side=False)


def unsubscribe_command(session: Session, request: ChannelRequest) -> Nothing | Refusal:
    """Answered alike whether there was a subscription or not."""
    if not request.channel:
        return codes.PROTOCOL_ERROR
    session.drop_subscription(request.channel)
    return Nothing()


def sub_refresh_command(session: Session, request: TokenRequest, now: float) -> TTLResult | Refusal:
    """A new subscription token."""
    if not request.channel:
        return codes.PROTOCOL_ERROR
    subscription = session.subscriptions.get(request.channel)
    if subscription is None:
        return codes.PERMISSION_DENIED
    if subscription.server_side:
        return codes.PROTOCOL_ERROR
    if not request.token:
        return codes.BAD_REQUEST
    claims = session.node.tokens.subscription(request.token, now)
    if claims is codes.TOKEN_EXPIRED:
        return TTLResult()  # as the engine answers; the subscription nevertheless ends when it was to end
    if not isinstance(claims, SubscribeClaims) or not _fits(session, request.channel, claims):
        return codes.INVALID_TOKEN
    expire_at = capped(claims.expires, now)
    ttl = expire_at - int(now)
    if expire_at and ttl < 0:
        return codes.EXPIRED
    subscription.info, subscription.expire_at = claims.info, expire_at
    return TTLResult(expires=True, ttl=ttl) if expire_at else TTLResult()


def subscribe_by_server(
    session: Session, request: SubscribeRequest, options: SubscribeOptions, now: float
) -> ErrorReply | None:
    """Tells the client, too; over the channel limit the connection ends."""
    limit = session.node.config.client.channel_limit
    if 0 < limit <= len(session.subscriptions):
        session.close(codes.CHANNEL_LIMIT)
        return None
    if request.channel in session.subscriptions:
        return codes.ALREADY_SUBSCRIBED
    result = subscribe(session, request, options, now, server_side=True)
    if isinstance(result, ErrorReply):
        return result
    session.send(encode_push(Push(request.channel, subscribe=_push_of(result))))
    announce_join(session, request.channel)
    return None


def announce_join(session: Session, channel: str) -> None:
    """Tells the others in the channel, where its options say so."""
    subscription = session.subscriptions.get(channel)
    if subscription is not None and subscription.options.join_leave:
        session.node.hub.announce(channel, subscription.client_info(), joined=True)


def _push_of(result: SubscribeResult) -> SubscribePush:
    return SubscribePush(
        recoverable=result.recoverable,
        epoch=result.epoch,
        offset=result.offset,
        positioned=result.positioned,
        data=result.data,
    )


def _limits(session: Session, channel: str) -> Refusal | None:
    if not channel:
        return codes.PROTOCOL_ERROR
    if 0 < session.node.config.channel.max_length < len(channel.encode()):
        return codes.BAD_REQUEST
    if channel in session.subscriptions:
        return codes.ALREADY_SUBSCRIBED
    if 0 < session.node.config.client.channel_limit <= len(session.subscriptions):
        return codes.LIMIT_EXCEEDED
    return None


def _permitted(session: Session, request: SubscribeRequest, now: float) -> SubscribeOptions | Refusal:
    rulebook = session.node.rulebook
    rules = rulebook.rules(request.channel)
    if rules is None:
        return codes.UNKNOWN_CHANNEL
    if not rules.valid_name(request.channel):
        return codes.BAD_REQUEST
    options: SubscribeOptions | Refusal = subscribe_options(rules.options, rulebook.meta_ttl_seconds(rules.options))
    if request.token:
        options = _by_token(session, request, now)
    elif not rulebook.may_subscribe(request.channel, session.user, rules.options):
        return codes.PERMISSION_DENIED
    if not isinstance(options, SubscribeOptions):
        return options
    positioning, recovery, membership = rulebook.widened(request, session.user, rules.options)
    return structs.replace(
        options,
        positioning=options.positioning or positioning,
        recovery=options.recovery or recovery,
        push_join_leave=options.push_join_leave or membership,
    )


def _by_token(session: Session, request: SubscribeRequest, now: float) -> SubscribeOptions | Refusal:
    claims = session.node.tokens.subscription(request.token, now)
    if not isinstance(claims, SubscribeClaims):
        return claims if claims is codes.TOKEN_EXPIRED else codes.PERMISSION_DENIED
    rules = session.node.rulebook.rules(claims.channel)
    if rules is None:
        return codes.UNKNOWN_CHANNEL
    if not _fits(session, request.channel, claims):
        return codes.INVALID_TOKEN
    options = subscribe_options(rules.options, session.node.rulebook.meta_ttl_seconds(rules.options), claims.override)
    return structs.replace(options, expire_at=claims.expires, info=claims.info, data=claims.data)


def _fits(session: Session, channel: str, claims: SubscribeClaims) -> bool:
    return (claims.channel, claims.sub) == (channel, session.user) and claims.client in ("", session.id)
