"""One pending call of the shared path, and the ways to wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc.outgoing import AfterLoss, Outgoing, after_loss, outcome_unknown
from django_cfg.modules.django_rpc.protocol import entry_of
from django_cfg.rpc.call import Reply

__all__ = ["Outcome", "Slot", "async_slots", "lone_slots", "longest_timeout", "outcome_after_loss", "sync_slots"]

Outcome: TypeAlias = Reply | RPCError


class Slot:
    """`run_id`: the Redis process it was sent to, or empty; `entry_id` once Redis has confirmed it. Settles once.

    `resent`: it is on its way again, and the first request may have arrived.
    """

    __slots__ = ("_wake", "entry_id", "outcome", "outgoing", "resent", "run_id")

    def __init__(self, outgoing: Outgoing, wake: Callable[[], None]) -> None:
        self.outgoing = outgoing
        self.entry_id: str | None = None
        self.run_id = ""
        self.resent = False
        self.outcome: Outcome | None = None
        self._wake = wake

    def settle(self, outcome: Outcome) -> None:
        """From any thread."""
        if self.outcome is None:
            self.outcome = outcome
            self._wake()


def lone_slots(outgoings: Sequence[Outgoing]) -> list[Slot]:
    """Of a thread that settles them itself, so that nobody waits."""
    return [Slot(outgoing, _wake_nobody) for outgoing in outgoings]


def _wake_nobody() -> None:
    return


def sync_slots(outgoings: Sequence[Outgoing]) -> tuple[list[Slot], Callable[[float], None]]:
    """With a function that waits for all, at most so many seconds: the caller's thread wakes once, not for each."""
    lock = threading.Lock()  # gevent can replace it
    others = iter(range(len(outgoings) - 1))

    def wake() -> None:
        if next(others, None) is None:
            lock.release()

    if outgoings:
        lock.acquire()
    return [Slot(outgoing, wake) for outgoing in outgoings], lambda seconds: _wait(lock, seconds)


def _wait(lock: threading.Lock, seconds: float) -> None:
    if lock.acquire(timeout=max(0.0, seconds)):
        lock.release()


def async_slots(outgoings: Sequence[Outgoing]) -> tuple[list[Slot], Callable[[float], Awaitable[None]]]:
    """As `sync_slots`, for a task of the running loop."""
    loop, event, others = asyncio.get_running_loop(), asyncio.Event(), iter(range(len(outgoings) - 1))

    def wake() -> None:
        if next(others, None) is None:
            with suppress(RuntimeError):  # its loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(event.set)

    async def wait(seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds if outgoings else 0.0):
                await event.wait()
        except TimeoutError:
            return

    return [Slot(outgoing, wake) for outgoing in outgoings], wait


def outcome_after_loss(
    slot: Slot, found: tuple[bytes | None, int], run_id: str, cause: BaseException
) -> Outcome | AfterLoss:
    """WAIT, RESEND, or the outcome, of a sent call whose link broke; `found` and `run_id` as Redis shows them now.

    One to wait for is confirmed by that.
    """
    record, there = found
    verdict, reply = after_loss(
        slot.outgoing,
        record,
        there=bool(there),
        accepted=slot.entry_id is not None,
        same_run=slot.run_id == run_id,
    )
    if verdict is AfterLoss.UNKNOWN:
        return outcome_unknown(slot.outgoing.method, f"Redis was lost while it waited ({cause})")
    if verdict is AfterLoss.WAIT:
        slot.entry_id, slot.run_id = slot.entry_id or entry_of(record), run_id
    return verdict if reply is None else reply


def longest_timeout(outgoings: Sequence[Outgoing]) -> float:
    """How long to wait for all of them, in seconds."""
    return max((outgoing.timeout_seconds for outgoing in outgoings), default=0.0)
