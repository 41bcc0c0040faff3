"""Whoever settles a call must outlive whoever waits for it."""

from __future__ import annotations

import asyncio

import pytest

from django_cfg.modules.django_rpc.outgoing import prepare
from django_cfg.modules.django_rpc.slots import Slot, async_slots, sync_slots
from django_cfg.rpc.call import Reply


def test_an_event_loop_that_closes_at_the_moment_of_the_reply_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def begun() -> tuple[asyncio.AbstractEventLoop, Slot]:
        (slot,), _ = async_slots([prepare("echo", b"{}", 5.0)])
        return asyncio.get_running_loop(), slot

    loop, slot = asyncio.run(begun())
    monkeypatch.setattr(loop, "is_closed", lambda: False)  # as it was a moment ago

    slot.settle(Reply(result=b"1"))

    assert slot.outcome == Reply(result=b"1")


def test_a_slot_settles_once() -> None:
    (slot,), wait = sync_slots([prepare("echo", b"{}", 5.0)])
    slot.settle(Reply(result=b"1"))
    slot.settle(Reply(result=b"2"))
    wait(0)

    assert slot.outcome == Reply(result=b"1")
