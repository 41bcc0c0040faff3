"""Pure: one connection's protocol state, from which encoded messages and a final disconnect go out.

All times are Unix seconds. What comes in is the business of `commands.py`. The edge calls `tick` at `deadline`,
and writes what `outbox` and `ended` hold whenever `wake` has been called.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from msgspec import UNSET

from . import codes
from .codes import Disconnect, ErrorReply, Unsubscribe
from .outbox import Outbox
from .protocol import PING, Opaque, Push, Result, encode_push, encode_reply

if TYPE_CHECKING:
    from .node import Node
    from .subscription import Subscription

REFUSED_LINGER_SECONDS = 5.0
"""How long a connection whose connect command was refused stays open, for the client to close it."""


class Timer(Enum):
    """What a connection waits for."""

    STALE = auto()
    LINGER = auto()
    PING = auto()
    PONG = auto()
    EXPIRE = auto()
    UPKEEP = auto()


class Session:
    """From the handshake to the close."""

    def __init__(self, node: Node, wake: Callable[[], None], now: float) -> None:
        self.node = node
        self.id = node.new_id()
        self.user = ""
        self.info: Opaque = UNSET
        self.meta: Opaque = UNSET
        self.expire_at = 0
        self.subscriptions: dict[str, Subscription] = {}
        self.outbox = Outbox(node.config.client.queue_max_size)
        self.authenticated = False
        self.refused = False
        self.ended: Disconnect | None = None
        self._wake = wake
        self._awaiting_pong = False
        self._timers: dict[Timer, float] = {}
        self.set_timer(Timer.STALE, now, node.config.client.stale_close_delay)

    @property
    def deadline(self) -> float | None:
        """When `tick` has to be called next."""
        return min(self._timers.values(), default=None)

    def connected(self, now: float) -> None:
        """The connect command was accepted: the timers of a living connection begin."""
        client = self.node.config.client
        self._timers.pop(Timer.STALE, None)
        self.expire_at_time(self.expire_at, now)
        self.set_timer(Timer.PING, now, client.ping_interval * (1 + self.node.random()) / 2)
        self.set_timer(Timer.UPKEEP, now, client.presence_update_interval)

    def refuse(self, now: float) -> None:
        """The connect command was refused: nothing more is answered."""
        self.refused = True
        self.set_timer(Timer.LINGER, now, REFUSED_LINGER_SECONDS)

    def pong(self) -> None:
        """The client has answered a ping; one that nobody sent ends the connection."""
        if not self._awaiting_pong:
            self.close(codes.PROTOCOL_ERROR)
        self._awaiting_pong = False

    def reply(self, command_id: int, kind: str, outcome: Result | ErrorReply | Disconnect) -> None:
        """Queues a result under its kind, or an error; a disconnect ends the connection instead."""
        if isinstance(outcome, Disconnect):
            self.close(outcome)
        else:
            name = "error" if isinstance(outcome, ErrorReply) else kind
            self.send(encode_reply(command_id, name, outcome))

    def send(self, message: bytes) -> None:
        """Queues one encoded message; a full queue ends the connection."""
        if self.ended is not None:
            return
        if self.outbox.put(message):
            self._wake()
        else:
            self.close(codes.SLOW)

    def push_unsubscribe(self, channel: str, unsubscribe: Unsubscribe) -> None:
        """Tells the client that its subscription has ended."""
        self.send(encode_push(Push(channel, unsubscribe=unsubscribe)))

    def close(self, disconnect: Disconnect) -> None:
        """Ends the connection once; what is queued is still sent."""
        if self.ended is not None:
            return
        self.ended = disconnect
        self._timers.clear()
        for channel in list(self.subscriptions):
            self.drop_subscription(channel)
        if self.authenticated:
            self.node.remove(self)
        self._wake()

    def drop_subscription(self, channel: str) -> None:
        """Unsubscribes without a word to the client; others see it leave."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is None:
            return
        self.node.hub.unsubscribe(channel, self.id)
        if subscription.options.join_leave:
            self.node.hub.announce(channel, subscription.client_info(), joined=False)

    def expire_at_time(self, expire_at: int, now: float) -> None:
        """The connection's new end, 0 for none; the client has a while to refresh it."""
        self.expire_at = expire_at
        self._timers.pop(Timer.EXPIRE, None)
        if expire_at:
            delay = expire_at - int(now) + self.node.config.client.expired_close_delay
            self.set_timer(Timer.EXPIRE, now, max(delay, 0.001))

    def set_timer(self, timer: Timer, now: float, delay_seconds: float) -> None:
        """A delay of 0 or less sets none."""
        if delay_seconds > 0:
            self._timers[timer] = now + delay_seconds
            self._wake()

    def tick(self, now: float) -> None:
        """Does what is due."""
        for timer in [t for t, at in self._timers.items() if at <= now]:
            if self._timers.pop(timer, None) is not None:
                self._due(timer, now)

    def _due(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.STALE:
                self.close(codes.STALE)
            case Timer.LINGER:
                self.close(codes.CONNECTION_CLOSED)
            case Timer.EXPIRE:
                self.close(codes.CONNECTION_EXPIRED)
            case Timer.PING:
                self._ping(now)
            case Timer.PONG:
                if self._awaiting_pong:
                    self.close(codes.NO_PONG)
            case Timer.UPKEEP:
                self._upkeep(now)

    def _ping(self, now: float) -> None:
        self._awaiting_pong = True
        self.send(PING)
        client = self.node.config.client
        self.set_timer(Timer.PONG, now, client.pong_timeout)
        self.set_timer(Timer.PING, now, client.ping_interval)

    def _upkeep(self, now: float) -> None:
        for subscription in list(self.subscriptions.values()):
            subscription.check(now)
        if self.ended is None:
            self.set_timer(Timer.UPKEEP, now, self.node.config.client.presence_update_interval)
