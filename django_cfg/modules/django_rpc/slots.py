"""One pending call of the shared path, and the ways to wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeAlias

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.rpc.call import Reply

__all__ = ["Outcome", "Slot", "async_slot", "sync_slot", "wait_for"]

Outcome: TypeAlias = Reply | RPCError


class Slot:
    """`run_id`: the Redis process it was sent to, or empty; `entry_id` once Redis has confirmed it. Settles once."""

    __slots__ = ("_wake", "entry_id", "outcome", "outgoing", "run_id")

    def __init__(self, outgoing: Outgoing, wake: Callable[[], None]) -> None:
        self.outgoing = outgoing
        self.entry_id: str | None = None
        self.run_id = ""
        self.outcome: Outcome | None = None
        self._wake = wake

    def settle(self, outcome: Outcome) -> None:
        """From any thread."""
        if self.outcome is None:
            self.outcome = outcome
            self._wake()


def sync_slot(outgoing: Outgoing) -> tuple[Slot, Callable[[float], None]]:
    """With a function that waits at most so many seconds; a bare lock, which gevent can replace."""
    lock = threading.Lock()
    lock.acquire()
    return Slot(outgoing, lock.release), lambda seconds: _wait(lock, seconds)


def _wait(lock: threading.Lock, seconds: float) -> None:
    if lock.acquire(timeout=max(0.0, seconds)):
        lock.release()


def async_slot(outgoing: Outgoing) -> tuple[Slot, asyncio.Event]:
    """With an event of the running loop."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    return Slot(outgoing, wake), event


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """At most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
