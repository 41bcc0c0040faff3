"""Pure: one connection's subscription to one channel, and how it comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from .codes import (
    EXPIRED,
    INSUFFICIENT_STATE,
    SUBSCRIPTION_EXPIRED,
    UNRECOVERABLE_POSITION,
    UNSUBSCRIBE_EXPIRED,
    UNSUBSCRIBE_INSUFFICIENT,
    Disconnect,
    ErrorReply,
    Unsubscribe,
)
from .config import ChannelOptions
from .hub import NOWHERE
from .protocol import ClientInfo, Opaque, Publication, StreamPosition, SubscribeRequest, SubscribeResult
from .tokens import Flag, Override

if TYPE_CHECKING:
    from .session import Session


LONGEST_TTL_SECONDS = 365 * 24 * 3600
REJECT_UNRECOVERED = 2
"""In a subscribe command's `flag`: an error instead of a subscription that has missed something."""


class SubscribeOptions(msgspec.Struct, frozen=True):
    """What holds for one subscription; `expire_at` is a Unix time, 0 for never."""

    presence: bool
    join_leave: bool
    push_join_leave: bool
    recovery: bool
    positioning: bool
    cache: bool
    meta_ttl_seconds: float
    expire_at: int = 0
    info: Opaque = UNSET
    data: Opaque = UNSET
    from_connection_token: bool = False

    @property
    def positioned(self) -> bool:
        """Recovery needs a position too."""
        return self.recovery or self.positioning


def subscribe_options(
    options: ChannelOptions, meta_ttl_seconds: float, override: Override | None = None
) -> SubscribeOptions:
    """The channel's options, except where `override` says otherwise."""
    o = override or Override()
    return SubscribeOptions(
        presence=_flag(o.presence, options.presence),
        join_leave=_flag(o.join_leave, options.join_leave),
        push_join_leave=_flag(o.force_push_join_leave, options.force_push_join_leave),
        recovery=_flag(o.force_recovery, options.force_recovery),
        positioning=_flag(o.force_positioning, options.force_positioning),
        cache=options.force_recovery_mode == "cache",
        meta_ttl_seconds=meta_ttl_seconds,
    )


@dataclass(slots=True)
class Subscription:
    """Where the connection stands in the channel; the hub's subscriber."""

    session: Session
    channel: str
    options: SubscribeOptions
    server_side: bool
    expire_at: int
    info: Opaque
    position: StreamPosition = NOWHERE
    checked_at: float = 0.0

    @property
    def wants_membership(self) -> bool:
        """Join and leave messages are sent to those who asked or were told to."""
        return self.options.push_join_leave

    def client_info(self) -> ClientInfo:
        """How this subscriber appears to others."""
        return ClientInfo(self.session.user, self.session.id, self.session.info, self.info)

    def notify(self, message: bytes) -> None:
        """A join or leave."""
        self.session.send(message)

    def publish(self, message: bytes, position: StreamPosition) -> None:
        """A gap in the positions ends the subscription, so that the client recovers."""
        if position.offset and self.options.positioned:
            if position.epoch != self.position.epoch or position.offset != self.position.offset + 1:
                self.lose(UNSUBSCRIBE_INSUFFICIENT, INSUFFICIENT_STATE)
                return
            self.position = position
        self.session.send(message)

    def lose(self, unsubscribe: Unsubscribe, disconnect: Disconnect) -> None:
        """The client has to subscribe again; where the server subscribed it, it has to reconnect."""
        if self.server_side:
            self.session.close(disconnect)
        else:
            self.session.drop_subscription(self.channel)
            self.session.push_unsubscribe(self.channel, unsubscribe)

    def check(self, now: float) -> None:
        """Expiry, position and presence, to be looked at every now and then."""
        client = self.session.node.config.client
        if self.expire_at and now > self.expire_at + client.expired_sub_close_delay:
            self.lose(UNSUBSCRIBE_EXPIRED, SUBSCRIPTION_EXPIRED)
            return
        if self.options.presence:
            self.session.node.hub.set_present(self.channel, self.client_info())
        delay = client.channel_position_check_delay
        if self.options.positioned and delay > 0 and now - self.checked_at > delay:
            self.checked_at = now
            _, newest, _ = self.session.node.hub.history(self.channel, now, self.options.meta_ttl_seconds)
            if newest != self.position:
                self.lose(UNSUBSCRIBE_INSUFFICIENT, INSUFFICIENT_STATE)


def capped(expire_at: int, now: float) -> int:
    """A Unix time at most a year ahead, which is as far as expiry goes; 0 stays never."""
    return min(expire_at, int(now) + LONGEST_TTL_SECONDS)


def subscribe(
    session: Session, request: SubscribeRequest, options: SubscribeOptions, now: float, *, server_side: bool
) -> SubscribeResult | ErrorReply:
    """Subscribes; `expires` is for subscriptions that the client itself has to refresh."""
    result = SubscribeResult(data=options.data)
    if options.expire_at:
        ttl = options.expire_at - int(now)
        if ttl <= 0:
            return EXPIRED
        if not server_side:
            result.expires, result.ttl = True, ttl
    subscription = Subscription(
        session, request.channel, options, server_side, options.expire_at, options.info, checked_at=now
    )
    if options.positioned:
        subscription.position = _position(session, request, options, now, result)
        if request.recover and options.recovery and not result.recovered and request.flag & REJECT_UNRECOVERED:
            return UNRECOVERABLE_POSITION
    result.was_recovering = request.recover
    hub = session.node.hub
    session.subscriptions[request.channel] = subscription
    hub.subscribe(request.channel, session.id, subscription)
    if options.presence:
        hub.set_present(request.channel, subscription.client_info())
    return result


def _position(
    session: Session, request: SubscribeRequest, options: SubscribeOptions, now: float, result: SubscribeResult
) -> StreamPosition:
    result.positioned, result.recoverable = True, options.recovery
    if not (options.recovery and request.recover):
        _, newest, _ = session.node.hub.history(request.channel, now, options.meta_ttl_seconds)
        result.epoch, result.offset = newest.epoch, newest.offset
        return newest
    publications, newest, recovered = _recover(session, request, options, now)
    result.recovered, result.epoch = recovered, newest.epoch
    result.offset = request.offset if recovered else newest.offset
    if recovered:
        result.publications = publications or UNSET
    return newest


def _recover(
    session: Session, request: SubscribeRequest, options: SubscribeOptions, now: float
) -> tuple[list[Publication], StreamPosition, bool]:
    hub, limit = session.node.hub, session.node.config.client.recovery_max_publication_limit
    asked = StreamPosition(request.offset, request.epoch)
    if options.cache:
        last, newest, _ = hub.history(request.channel, now, options.meta_ttl_seconds, limit=1, reverse=True)
        known = request.offset > 0 and asked == newest
        return ([] if known else last), newest, last[0].offset == newest.offset if last else known
    missed, newest, error = hub.history(
        request.channel, now, options.meta_ttl_seconds, since=asked, limit=limit if limit > 0 else -1
    )
    if error is not None:
        return [], newest, False
    if not missed:
        return [], newest, newest.offset == request.offset
    whole = missed[0].offset == request.offset + 1 and missed[-1].offset == newest.offset
    return missed, newest, whole


def _flag(flag: Flag | None, default: bool) -> bool:
    return default if flag is None else flag.value
