"""For tests of projects: what would reach browsers is kept, as `mail.outbox` keeps mail; no server is needed."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import msgspec

from django_cfg.apps.centrifugo.delivery import use_browsers
from django_cfg.apps.centrifugo.identity import USER_CHANNEL_PREFIX, UserId, user_channel
from django_cfg.rpc.publisher import Publisher

__all__ = ["Publication", "captured_publications"]

T = TypeVar("T")


class Publication(NamedTuple):
    """As it would have left. `data` is plain JSON data."""

    channel: str
    data: Any

    @property
    def user_id(self) -> str | None:
        """Whose own channel it is; None for other channels."""
        return self.channel.removeprefix(USER_CHANNEL_PREFIX) if self.channel.startswith(USER_CHANNEL_PREFIX) else None

    @property
    def event(self) -> tuple[Any, Any]:
        """Name and data, as `on(event, handler)` gets them; raises KeyError for what is no event."""
        return self.data["event"], self.data["data"]


@contextmanager
def captured_publications(
    *, online: Iterable[UserId] = (), subscribed: Iterable[str] = ()
) -> Generator[list[Publication]]:
    """What the process publishes while the block runs, in order.

    Notifications and broadcasts go only where somebody is: to users who are `online`, to channels in `subscribed`.
    """
    publisher = _CapturingPublisher({*map(user_channel, online), *subscribed})
    with use_browsers(publisher):
        yield publisher.publications


class _CapturingPublisher(Publisher):
    """Works in any thread and any event loop, as it waits for nothing."""

    def __init__(self, present: set[str]) -> None:
        self.publications: list[Publication] = []
        self._present = present

    async def deliver(self, channel: str, data: bytes) -> None:
        self.publish_sync(channel, data)

    async def publish(self, channel: str, data: bytes) -> None:
        self.publish_sync(channel, data)

    def publish_sync(self, channel: str, data: bytes) -> None:
        self.publications.append(Publication(channel, msgspec.json.decode(data)))

    async def presence(self, channel: str) -> int:
        return int(channel in self._present)

    async def channels(self, pattern: str) -> Sequence[str]:
        return [channel for channel in sorted(self._present) if fnmatchcase(channel, pattern)]

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return await work
