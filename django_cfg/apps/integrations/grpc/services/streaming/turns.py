"""The callbacks of one stream, one after the other: on_connect, each message, on_disconnect."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks, was_cancelled
from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig
from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
from django_cfg.apps.integrations.grpc.services.streaming.session import Ending, Session
from django_cfg.rpc.logs import about

__all__ = ["Turns"]

TMessage = TypeVar("TMessage")

MOST_WAITING = 16
HELD_UP_SECONDS = 10.0
"""After which it is logged that a callback keeps what its agent says from being read."""
LAST_SECONDS = 10.0
"""How long callbacks may take once their stream has ended; the agent's next stream waits for them."""


class Turns(Generic[TMessage]):
    """A task runs only while there is something to call, so a stream at rest costs none.

    Messages are read on while one is processed: a callback may wait for what a later message brings.
    """

    __slots__ = (
        "_agent_id",
        "_calls",
        "_closed",
        "_config",
        "_end",
        "_greeted",
        "_over",
        "_parted",
        "_predecessor",
        "_queue",
        "_room",
        "_session",
        "_stopping",
        "_task",
        "_told",
        "_waiting",
        "_welcomed",
    )

    def __init__(
        self,
        agent_id: str,
        calls: Callbacks[TMessage, Any],
        config: BidirectionalStreamingConfig,
        session: Session,
        queue: OutboundQueue[Any],
        end: Callable[[Ending], object],
        over: Callable[[], None],
    ) -> None:
        self._agent_id = agent_id
        self._calls = calls
        self._config = config
        self._session = session
        self._queue = queue
        self._end = end
        self._over = over
        self._predecessor: Turns[TMessage] | None = None
        self._waiting: deque[TMessage] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self._greeted = self._welcomed = self._closed = self._parted = self._told = False

    @property
    def holds_up(self) -> bool:
        """Whether what the agent says is not read because of what it has said before."""
        return self._room is not None

    def start(self, predecessor: Turns[TMessage] | None) -> None:
        """Call on_connect, after the last callback of the same agent's stream before."""
        self._predecessor = predecessor
        self._run()

    async def take(self, message: TMessage) -> None:
        """Process it in its turn; returns at once unless too many wait already."""
        if self._waiting is None:
            self._waiting = deque()
        while not self._closed and len(self._waiting) >= MOST_WAITING:
            await self._until_room()
        self._room = None
        if not self._closed:
            self._waiting.append(message)
            self._run()

    async def _until_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        timer = None if self._told else loop.call_later(HELD_UP_SECONDS, self._tell)
        try:
            await self._room
        finally:
            if timer is not None:
                timer.cancel()

    def _tell(self) -> None:
        """Once for a stream: a callback that hangs is noticed only by what does not happen."""
        self._told = True
        callback = "message_processor" if self._welcomed else "on_connect"
        self._warn(f"{callback} has not returned for {HELD_UP_SECONDS:g} s, and nothing more of the agent is read")

    async def finished(self) -> None:
        """Until what has been taken so far is processed, and on_disconnect too if the stream is closed."""
        task = self._task
        if task is not None:
            await asyncio.wait((task,))

    def close(self) -> None:
        """The stream has ended: take nothing more, process what is here, call on_disconnect."""
        if self._closed:
            return
        self._closed = True
        self._make_room()
        task = self._run()
        self._stopping = asyncio.get_running_loop().call_later(LAST_SECONDS, task.cancel)

    def _run(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        return self._task

    async def _work(self) -> None:
        try:
            await self._serve()
        except asyncio.CancelledError:
            self._give_up()
        try:
            if self._closed:
                await self._part()
        finally:
            self._task = None
            if self._parted:
                self._over()

    def _give_up(self) -> None:
        """On the callbacks so far, not on on_disconnect."""
        self._waiting = None
        self._warn("its callbacks took too long after its stream had ended, and were cancelled")
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()

    def _warn(self, what: str) -> None:
        self._calls.logger.warning("agent %a: %s", self._agent_id, what, extra=about(client=self._agent_id))

    async def _serve(self) -> None:
        if not self._greeted:
            await self._greet()
            self._welcomed = True
        while self._waiting:
            message = self._waiting.popleft()
            self._make_room()
            await self._process(message)
            if self._waiting and self._config.enable_sleep_zero:
                await asyncio.sleep(0)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _greet(self) -> None:
        if self._predecessor is not None:
            await self._predecessor.finished()
            self._predecessor = None
        self._greeted = True
        on_connect = self._calls.on_connect
        if on_connect is not None and not await self._calls.attempt(
            self._agent_id, "on_connect", lambda: on_connect(self._agent_id)
        ):
            self._waiting = None
            self._end(Ending("INTERNAL", "the server failed to welcome this agent"))

    async def _process(self, message: TMessage) -> None:
        try:
            with self._calls.lanes.use():
                await self._calls.process(self._agent_id, message, self._queue)
        except BaseException as error:
            if was_cancelled(error):
                raise
            self._calls.counts.failed_messages += 1
            self._calls.failed(self._agent_id, "message_processor", error)
            ending = self._session.failed()
            if ending is not None:
                self._end(ending)
        else:
            self._session.succeeded()

    async def _part(self) -> None:
        if self._stopping is not None:
            self._stopping.cancel()
        if self._parted:
            return
        self._parted = True
        on_disconnect = self._calls.on_disconnect
        if on_disconnect is not None and self._greeted:
            try:
                async with asyncio.timeout(LAST_SECONDS):
                    await self._calls.attempt(self._agent_id, "on_disconnect", lambda: on_disconnect(self._agent_id))
            except TimeoutError:
                self._warn("on_disconnect took too long and was cancelled")
