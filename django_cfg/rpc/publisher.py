"""The port through which anything reaches users' browsers: an edge installs its publisher, everybody else asks here."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from django_cfg.errors import PublishError

__all__ = ["Publisher", "installed_publisher", "use_publisher"]

SYNC_TIMEOUT_SECONDS = 15.0


class Publisher(ABC):
    """Delivers JSON to channels from any thread; the work is done on the event loop it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    @abstractmethod
    async def deliver(self, channel: str, data: bytes) -> None:
        """On the publisher's own loop; raises PublishError."""

    async def presence(self, channel: str) -> int:
        """How many connections are subscribed to the channel now; raises PublishError."""
        raise PublishError("this publisher cannot tell who is there")

    async def channels(self, pattern: str) -> Sequence[str]:
        """Channels with subscribers whose names match a glob pattern; raises PublishError."""
        raise PublishError("this publisher cannot tell who is there")

    async def publish(self, channel: str, data: bytes) -> None:
        """From any event loop; raises PublishError."""
        if asyncio.get_running_loop() is self._loop:
            await self.deliver(channel, data)
        else:
            await asyncio.wrap_future(self._hand_over(channel, data))

    def publish_sync(self, channel: str, data: bytes) -> None:
        """From a thread without a running event loop; raises PublishError."""
        handed = self._hand_over(channel, data)
        try:
            handed.result(SYNC_TIMEOUT_SECONDS)
        except TimeoutError as error:
            handed.cancel()
            raise PublishError(f"the publication was not taken within {SYNC_TIMEOUT_SECONDS:g} s") from error

    def _hand_over(self, channel: str, data: bytes) -> Future[None]:
        work = self.deliver(channel, data)
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise PublishError("the process's publisher has been closed") from error


_installed: list[Publisher] = []


@contextmanager
def use_publisher(publisher: Publisher) -> Generator[None]:
    """Make `publisher` the process's way to browsers while the block runs; blocks may nest."""
    _installed.append(publisher)
    try:
        yield
    finally:
        _installed.remove(publisher)


def installed_publisher() -> Publisher | None:
    """The innermost publisher, or None in a process that serves no clients itself."""
    return _installed[-1] if _installed else None
