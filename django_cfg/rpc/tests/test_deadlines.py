from __future__ import annotations

import asyncio

from django_cfg.rpc.call import Call, Reply
from django_cfg.rpc.deadlines import Deadlines
from django_cfg.rpc.running_call import RunningCall

BOUND_SECONDS = 10.0


class World:
    def __init__(self) -> None:
        self.running: set[RunningCall] = set()
        self.expired: list[str] = []
        self.all_expired = asyncio.Event()
        self.deadlines = Deadlines(self.running, self.expire)

    def expire(self, running: RunningCall) -> None:
        self.expired.append(running.call.method)
        running.settle(Reply(result=b"1"))
        if all(running.answered for running in self.running):
            self.all_expired.set()

    def start(self, method: str, timeout_seconds: float) -> RunningCall:
        call = Call(method=method, params=b"{}", timeout_seconds=timeout_seconds, user_id=None)
        running = RunningCall(call, lambda reply: None, lambda call, reply, seconds: None)
        self.running.add(running)
        self.deadlines.add(running, asyncio.get_running_loop())
        return running

    async def until_all_have_expired(self) -> list[str]:
        async with asyncio.timeout(BOUND_SECONDS):
            await self.all_expired.wait()
        return self.expired


async def test_each_call_expires_in_its_turn() -> None:
    world = World()
    for method, seconds in (("third", 0.06), ("first", 0.02), ("second", 0.04)):
        world.start(method, seconds)

    assert await world.until_all_have_expired() == ["first", "second", "third"]


async def test_one_that_begins_after_others_have_ended_expires_too() -> None:
    world = World()
    world.start("one", 0.01)
    await world.until_all_have_expired()
    world.all_expired.clear()
    world.start("two", 0.01)

    assert await world.until_all_have_expired() == ["one", "two"]


async def test_an_answered_one_never_expires() -> None:
    world = World()
    world.start("answered", 0.01).settle(Reply(result=b"1"))
    world.start("late", 0.03)

    assert await world.until_all_have_expired() == ["late"]
