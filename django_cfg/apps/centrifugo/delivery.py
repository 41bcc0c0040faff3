"""Events to browsers with the number of connections that they were handed to, as presence knows it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from django_cfg.apps.centrifugo.identity import USER_CHANNEL_PREFIX, user_channel
from django_cfg.rpc.delivery import Delivery, deliver_all, use_delivery
from django_cfg.rpc.publisher import Publisher, use_publisher
from django_cfg.rpc.validation import dump_json

__all__ = ["BrowserDelivery", "use_browsers"]


class BrowserDelivery:
    """Publishes only where somebody is: what was not delivered arrives later neither."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def to_user(self, user_id: str, event: str, data: Any) -> int:
        """Raises PublishError, and ValueError for an id that can be nobody's."""
        return await self._publisher.run(self._send(user_channel(user_id), event, data))

    async def to_room(self, room: str, event: str, data: Any) -> int:
        """A room is a channel. Raises PublishError, and ValueError for users' own channels, which are none."""
        if "#" in room:
            raise ValueError("a room's name holds no '#': channels with it belong to users")
        return await self._publisher.run(self._send(room, event, data))

    async def to_all(self, event: str, data: Any) -> int:
        """Every user who is connected. Raises PublishError."""
        return await self._publisher.run(self._send_to_all(event, data))

    async def _send_to_all(self, event: str, data: Any) -> int:
        channels = await self._publisher.channels(f"{USER_CHANNEL_PREFIX}*")
        return await deliver_all(self._send(channel, event, data) for channel in channels)

    async def _send(self, channel: str, event: str, data: Any) -> int:
        connections = await self._publisher.presence(channel)
        if connections:
            await self._publisher.deliver(channel, dump_json({"event": event, "data": data}))
        return connections


@contextmanager
def use_browsers(publisher: Publisher) -> Generator[Delivery]:
    """Make `publisher` the process's way to browsers while the block runs, for bytes and for events."""
    delivery = BrowserDelivery(publisher)
    with use_publisher(publisher), use_delivery(delivery):
        yield delivery
