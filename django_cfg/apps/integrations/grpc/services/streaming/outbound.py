"""What still has to be sent on one stream: a bounded queue, and in front of it what the server itself has to say."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop
from django_cfg.errors import ClientNotConnectedError

__all__ = ["OutboundQueue", "check_command"]

TItem = TypeVar("TItem")


def check_command(command: object) -> None:
    """Raises TypeError for None, which no stream can carry; other mistakes are the serializer's to find."""
    if command is None:
        raise TypeError("None is no command; to end an agent's stream, call disconnect_client(client_id)")


class OutboundQueue(Generic[TItem]):
    """Has the names of `asyncio.Queue` for those who put. One task alone takes: the one that answers the stream.

    Belongs to the event loop of its stream; `put` and `put_nowait` may be called from anywhere.
    """

    __slots__ = ("_ended", "_finished", "_home", "_items", "_maxsize", "_putters", "_taker", "_urgent")

    def __init__(self, maxsize: int, home: OwningLoop) -> None:
        self._maxsize = maxsize
        self._home = home
        self._items: deque[TItem] = deque()
        self._urgent: deque[TItem] | None = None
        self._putters: deque[asyncio.Future[None]] | None = None
        self._taker: asyncio.Future[None] | None = None
        self._finished = False
        self._ended = False

    @property
    def maxsize(self) -> int:
        return self._maxsize

    def qsize(self) -> int:
        return len(self._items)

    def empty(self) -> bool:
        return not self._items

    def full(self) -> bool:
        return len(self._items) >= self._maxsize

    def put_nowait(self, item: TItem) -> None:
        """Raises asyncio.QueueFull, or ClientNotConnectedError once the stream takes no more."""
        check_command(item)
        if self._home.is_here:
            self._put_here(item)
        else:
            self._home.run_blocking(lambda: self._put_soon(item))

    async def put(self, item: TItem) -> None:
        """Waits for room; raises ClientNotConnectedError if the stream ends before there is any."""
        check_command(item)
        if self._home.is_here:
            await self._put_when_possible(item)
        else:
            await self._home.run(lambda: self._put_when_possible(item))

    def offer(self, item: TItem) -> bool:
        """Whether there was room, and the stream takes more. Only in the queue's own event loop."""
        if self._finished or len(self._items) >= self._maxsize:
            return False
        self._items.append(item)
        self._wake_taker()
        return True

    def _put_here(self, item: TItem) -> None:
        if self.offer(item):
            return
        if self._finished:
            raise ClientNotConnectedError("the agent's stream has ended")
        raise asyncio.QueueFull

    async def _put_soon(self, item: TItem) -> None:
        self._put_here(item)

    async def _put_when_possible(self, item: TItem) -> None:
        while len(self._items) >= self._maxsize and not self._finished:
            await self._room()
        self._put_here(item)

    async def _room(self) -> None:
        if self._putters is None:
            self._putters = deque()
        putter = asyncio.get_running_loop().create_future()
        self._putters.append(putter)
        try:
            await putter
        except asyncio.CancelledError:
            if putter in self._putters:
                self._putters.remove(putter)
            elif not self.full():
                self._wake_putter()
            raise

    def put_urgent(self, item: TItem) -> None:
        """In front of all others and beyond the bound: for the few messages that are the server's own."""
        if self._finished:
            return
        if self._urgent is None:
            self._urgent = deque()
        self._urgent.append(item)
        self._wake_taker()

    @property
    def has_urgent(self) -> bool:
        return bool(self._urgent)

    def take(self) -> TItem | None:
        """The next item; None when there is none now."""
        if self._urgent:
            return self._urgent.popleft()
        if not self._items:
            return None
        item = self._items.popleft()
        if self._putters:
            self._wake_putter()
        return item

    async def wait(self) -> bool:
        """Until there is something to take; False when nothing will come any more."""
        while not self._items and not self._urgent:
            if self._finished:
                return False
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return True

    def finish(self) -> None:
        """Take nothing more; what is there is still sent."""
        self._finished = True
        self._wake_taker()
        while self._putters:
            self._wake_putter()

    def end(self) -> list[TItem]:
        """Take and send nothing more; what was waiting, without the server's own messages."""
        self.finish()
        left = list(self._items)
        self._items.clear()
        self._urgent = None
        return left

    def _wake_taker(self) -> None:
        taker = self._taker
        if taker is not None and not taker.done():
            taker.set_result(None)

    def _wake_putter(self) -> None:
        while self._putters:
            putter = self._putters.popleft()
            if not putter.done():
                putter.set_result(None)
                return
