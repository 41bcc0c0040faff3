"""The port through which anything reaches users' browsers: an edge installs its publisher, everybody else asks here."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from django_cfg.errors import PublishError
from django_cfg.rpc.other_loop import result_from
from django_cfg.rpc.provided import Provided

__all__ = ["Publisher", "installed_publisher", "use_publisher"]

SYNC_TIMEOUT_SECONDS = 15.0
CLOSED = "the process's publisher has been closed"

T = TypeVar("T")


class Publisher(ABC):
    """Delivers JSON to channels from any thread; the work is done on the event loop it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    @abstractmethod
    async def deliver(self, channel: str, data: bytes) -> None:
        """On the publisher's own loop; raises PublishError."""

    async def presence(self, channel: str) -> int:
        """How many connections are subscribed to the channel now; on the publisher's own loop. Raises PublishError."""
        raise PublishError("this publisher cannot tell who is there")

    async def channels(self, pattern: str) -> Sequence[str]:
        """Channels with subscribers whose names match a glob pattern, likewise."""
        raise PublishError("this publisher cannot tell who is there")

    async def publish(self, channel: str, data: bytes) -> None:
        """From any event loop; raises PublishError."""
        await self.run(self.deliver(channel, data))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """From any event loop, on the publisher's own; raises what `work` raises, and PublishError."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await result_from(self._hand_over(work), self._check_runs)

    def _check_runs(self) -> None:
        if not self._loop.is_running():
            raise PublishError(CLOSED)

    def publish_sync(self, channel: str, data: bytes) -> None:
        """From a thread without a running event loop; raises PublishError."""
        handed = self._hand_over(self.deliver(channel, data))
        try:
            handed.result(SYNC_TIMEOUT_SECONDS)
        except TimeoutError as error:
            handed.cancel()
            raise PublishError(f"the publication was not taken within {SYNC_TIMEOUT_SECONDS:g} s") from error

    def _hand_over(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise PublishError(CLOSED) from error


_provided = Provided[Publisher]()
use_publisher = _provided.use
installed_publisher = _provided.installed
