"""Pure: channels, who listens to them, who is present, what was published. Time is passed in as Unix seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import UNSET, Raw, UnsetType

from .codes import UNRECOVERABLE_POSITION, ErrorReply
from .history import UNVERSIONED, Stream, Version
from .json_text import one_line
from .protocol import ClientInfo, Membership, Publication, Push, StreamPosition, encode_push

IDEMPOTENCY_SECONDS = 300
NOWHERE = StreamPosition()


class Subscriber(Protocol):
    """One subscription of one connection."""

    @property
    def wants_membership(self) -> bool:
        """Whether join and leave messages go there."""
        ...

    def publish(self, message: bytes, position: StreamPosition) -> None:
        """`message` is the encoded push; offset 0 when it is not in the history."""
        ...

    def notify(self, message: bytes) -> None:
        """Any other encoded push."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history a publication's channel keeps; `size` 0 keeps none."""

    size: int
    ttl_seconds: float
    meta_ttl_seconds: float


@dataclass(slots=True)
class ChannelState:
    """What exists only while somebody is subscribed."""

    subscribers: dict[str, Subscriber] = field(default_factory=dict[str, Subscriber])
    presence: dict[str, ClientInfo] = field(default_factory=dict[str, ClientInfo])


class Hub:
    """All channels of this server."""

    def __init__(self, new_epoch: Callable[[], str]) -> None:
        self._new_epoch = new_epoch
        self.channels: dict[str, ChannelState] = {}
        self._streams: dict[str, Stream] = {}
        self._published: dict[tuple[str, str], StreamPosition] = {}
        self._published_order: deque[tuple[float, tuple[str, str]]] = deque()

    def subscribe(self, channel: str, client: str, subscriber: Subscriber) -> None:
        """From now on `subscriber` gets what is published."""
        self.channels.setdefault(channel, ChannelState()).subscribers[client] = subscriber

    def unsubscribe(self, channel: str, client: str) -> None:
        """Also ends the client's presence there."""
        state = self.channels.get(channel)
        if state is None:
            return
        state.subscribers.pop(client, None)
        state.presence.pop(client, None)
        if not state.subscribers:
            del self.channels[channel]

    def set_present(self, channel: str, info: ClientInfo) -> None:
        """Only for a client that is subscribed."""
        if state := self.channels.get(channel):
            state.presence[info.client] = info

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """By client id; empty for an unknown channel."""
        state = self.channels.get(channel)
        return state.presence if state else {}

    def announce(self, channel: str, info: ClientInfo, *, joined: bool) -> None:
        """A join or leave message, to those who want them."""
        state = self.channels.get(channel)
        listeners = [s for s in state.subscribers.values() if s.wants_membership] if state else []
        if listeners:
            event = Membership(info)
            message = encode_push(Push(channel, join=event) if joined else Push(channel, leave=event))
            for subscriber in listeners:
                subscriber.notify(message)

    def publish(
        self,
        channel: str,
        data: Raw,
        retention: Retention,
        now: float,
        *,
        info: ClientInfo | UnsetType = UNSET,
        tags: dict[str, str] | None = None,
        idempotency_key: str = "",
        version: Version = UNVERSIONED,
    ) -> StreamPosition:
        """Where it stands in the history (nowhere without one).

        A repeated idempotency key publishes nothing, and neither does an outdated version where there is a history.
        """
        key = (channel, idempotency_key)
        if idempotency_key and key in self._published:
            return self._published[key]
        stream = self._stream(channel, retention, now) if retention.size > 0 and retention.ttl_seconds > 0 else None
        publication = Publication(Raw(one_line(bytes(data))), info, tags=tags or UNSET)
        position = NOWHERE
        if stream is not None:
            stream.expires_at = now + retention.ttl_seconds
            if version.outdated_by(stream.version):
                return stream.position
            publication = _placed(publication, stream)
            stream.add(publication, retention.size)
            stream.version = version if version.number else stream.version
            position = stream.position
        if idempotency_key:
            self._published[key] = position
            self._published_order.append((now + IDEMPOTENCY_SECONDS, key))
        self._deliver(channel, publication, position)
        return position

    def history(
        self,
        channel: str,
        now: float,
        meta_ttl_seconds: float,
        *,
        since: StreamPosition | None = None,
        limit: int = 0,
        reverse: bool = False,
    ) -> tuple[list[Publication], StreamPosition, ErrorReply | None]:
        """Publications, the newest position, and 112 when `since` is of another epoch."""
        stream = self._stream(channel, Retention(0, 0, meta_ttl_seconds), now)
        if since is not None and since.epoch not in ("", stream.epoch):
            return [], stream.position, UNRECOVERABLE_POSITION
        return stream.read(since, limit, reverse), stream.position, None

    def remove_history(self, channel: str) -> None:
        """Keeps the position."""
        stream = self._streams.get(channel)
        if stream is not None:
            stream.clear()

    def expire(self, now: float) -> None:
        """Drops what has outlived its time; to be called about every second."""
        while self._published_order and self._published_order[0][0] <= now:
            del self._published[self._published_order.popleft()[1]]
        for channel in [c for c, stream in self._streams.items() if stream.removed_at <= now]:
            del self._streams[channel]
        for stream in self._streams.values():
            if stream.expires_at <= now:
                stream.clear()

    def sizes(self) -> dict[str, int]:
        """How much is held, by kind."""
        return {
            "channels": len(self.channels),
            "streams": len(self._streams),
            "publications": sum(len(stream) for stream in self._streams.values()),
            "idempotency_keys": len(self._published),
        }

    def _deliver(self, channel: str, publication: Publication, position: StreamPosition) -> None:
        state = self.channels.get(channel)
        if state is None:
            return
        message = encode_push(Push(channel, pub=publication))
        for subscriber in list(state.subscribers.values()):
            subscriber.publish(message, position)

    def _stream(self, channel: str, retention: Retention, now: float) -> Stream:
        stream = self._streams.get(channel)
        if stream is None or stream.removed_at <= now:
            stream = self._streams[channel] = Stream(self._new_epoch())
        elif stream.expires_at <= now:
            stream.clear()
        stream.removed_at = now + retention.meta_ttl_seconds
        return stream


def _placed(publication: Publication, stream: Stream) -> Publication:
    return Publication(
        publication.data,
        publication.info,
        offset=stream.top + 1,
        tags=publication.tags,
        epoch="" if stream.top else stream.epoch,
    )
