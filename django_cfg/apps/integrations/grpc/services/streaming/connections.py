"""Who is connected: at most one live stream per agent, the newest one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.connection import Connection

__all__ = ["Connections"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")


class Connections(Generic[TMessage, TCommand]):
    """Belongs to the event loop of the streams; other threads may look, not change."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection[TMessage, TCommand]] = {}
        self._newest: dict[str, Connection[TMessage, TCommand]] = {}
        self._open: set[Connection[TMessage, TCommand]] = set()
        self._last_epoch = 0
        self._fewer = asyncio.Event()

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, agent_id: str) -> Connection[TMessage, TCommand] | None:
        return self._by_id.get(agent_id)

    def all(self) -> list[Connection[TMessage, TCommand]]:
        return list(self._by_id.values())

    @property
    def all_are_over(self) -> bool:
        """No stream is open, and no callback of an earlier one still runs."""
        return not (self._by_id or self._open or self._newest)

    def clear(self) -> None:
        """Their event loop is gone, and all that was in it."""
        self._by_id.clear()
        self._newest.clear()
        self._open.clear()
        self._fewer = asyncio.Event()

    def next_epoch(self, now_ms: int) -> int:
        """Higher than all before, also than those of an earlier process unless the clock was set back."""
        self._last_epoch = max(self._last_epoch + 1, now_ms)
        return self._last_epoch

    def enter(self, connection: Connection[TMessage, TCommand]) -> Connection[TMessage, TCommand] | None:
        """The agent's stream before, unless it is over: closed, and its last callback has returned."""
        before = self._newest.get(connection.agent_id)
        self._by_id[connection.agent_id] = self._newest[connection.agent_id] = connection
        self._open.add(connection)
        return before

    def leave(self, connection: Connection[TMessage, TCommand]) -> None:
        """An older stream that leaves late removes nobody but itself."""
        if self._by_id.get(connection.agent_id) is connection:
            del self._by_id[connection.agent_id]
            self._fewer.set()

    def closed(self, connection: Connection[TMessage, TCommand]) -> None:
        """Its stream is gone; callbacks of the application may still have to run."""
        self._open.discard(connection)
        self._fewer.set()

    def over(self, connection: Connection[TMessage, TCommand]) -> None:
        """Nothing more will be called for that stream."""
        if self._newest.get(connection.agent_id) is connection:
            del self._newest[connection.agent_id]
            self._fewer.set()

    async def until_none_is_live(self, deadline: float) -> None:
        """Or until the loop's time is `deadline`."""
        await self._until(lambda: not self._by_id, deadline)

    async def until_all_are_over(self, deadline: float) -> None:
        """Streams and callbacks; or until the loop's time is `deadline`."""
        await self._until(lambda: self.all_are_over, deadline)

    async def _until(self, reached: Callable[[], bool], deadline: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not reached():
                    self._fewer.clear()
                    await self._fewer.wait()
