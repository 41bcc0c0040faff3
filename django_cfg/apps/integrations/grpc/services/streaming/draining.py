"""The end of a server: what is under way is finished, agents are told to connect again, then the streams end."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Generic, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming import turns
from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks
from django_cfg.apps.integrations.grpc.services.streaming.connections import Connections
from django_cfg.apps.integrations.grpc.services.streaming.outcome import Undelivered
from django_cfg.apps.integrations.grpc.services.streaming.sending import Sending
from django_cfg.apps.integrations.grpc.services.streaming.session import Ending

__all__ = ["DRAINING", "Draining"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")

AGENTS_PER_SECOND = 200
"""How many are asked to come back in each second, so that the next server is not overrun."""
LAST_SECONDS = turns.LAST_SECONDS + 1.0
"""For the last callbacks and statuses, beyond the time that was granted: as much as at the end of any stream."""
REPORT_SECONDS = 1.0
"""For on_error and on_undelivered, at the least."""
DRAINING = Ending("UNAVAILABLE", "the server is draining: connect again")


class Draining(Generic[TMessage, TCommand]):
    """Once under way, nothing new begins."""

    def __init__(
        self,
        connections: Connections[TMessage, TCommand],
        calls: Callbacks[TMessage, TCommand],
        sending: Sending[TMessage, TCommand],
    ) -> None:
        self._connections = connections
        self._calls = calls
        self._sending = sending
        self.under_way = False

    def forget(self) -> None:
        """Another event loop begins, and with it another server."""
        self.under_way = False
        self._sending.forget()

    async def drain(self, grace_seconds: float) -> None:
        """Returns when streams and callbacks have ended, at the latest some twelve seconds after `grace_seconds`."""
        deadline = asyncio.get_running_loop().time() + grace_seconds
        self.under_way = self._sending.refusing = True
        told = self._tell_agents()
        await self._sending.answered(deadline)
        if told:
            await self._connections.until_none_is_live(deadline)
        self._end_streams(deadline)
        last = deadline + LAST_SECONDS
        await self._connections.until_all_are_over(last)
        await self._calls.background.settle(max(last - asyncio.get_running_loop().time(), REPORT_SECONDS))
        await self._calls.late_statuses.settle(0)
        self._calls.lanes.close()

    def _tell_agents(self) -> bool:
        create = self._calls.create_drain
        if create is None:
            return False
        connections = self._connections.all()
        spread_seconds = max(1.0, len(connections) / AGENTS_PER_SECOND)
        for connection in connections:
            after_seconds = random.uniform(0.0, spread_seconds)  # noqa: S311 - jitter, nothing secret
            connection.say(partial(create, after_seconds), "drain_message_creator")
        return True

    def _end_streams(self, deadline: float) -> None:
        left_seconds = max(0.0, deadline - asyncio.get_running_loop().time())
        for connection in self._connections.all():
            connection.finish(DRAINING, left_seconds, Undelivered.DRAINING)
