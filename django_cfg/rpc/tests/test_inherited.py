from __future__ import annotations

import asyncio
import time

from asgiref.sync import sync_to_async
from pydantic import BaseModel

from django_cfg.rpc.connection import Connection
from django_cfg.rpc.inherited import LEAST_SECONDS, within_call
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.running import make_call, make_runner, some_lanes


class Empty(BaseModel):
    pass


class Left(BaseModel):
    inside: float
    in_a_thread: float
    shorter: float


async def left_in_a_call_of(timeout_seconds: float) -> Left:
    router = MessageRouter()

    @router.register("look")
    async def look(conn: Connection, params: Empty) -> Left:
        """What a call of an hour, and one of a moment, would be given."""
        return Left(
            inside=within_call(3600), in_a_thread=await sync_to_async(within_call)(3600), shorter=within_call(0.25)
        )

    with some_lanes(1) as lanes:
        reply = await make_runner(router, lanes=lanes).run(make_call("look", timeout_seconds=timeout_seconds))
    assert reply.result is not None, reply.error
    return Left.model_validate_json(reply.result)


async def test_outside_of_a_call_every_timeout_is_its_own() -> None:
    assert within_call(3600) == 3600


async def test_a_call_made_by_a_handler_has_what_its_own_caller_has_left() -> None:
    left = await left_in_a_call_of(8)

    assert 0 < left.in_a_thread <= left.inside <= 8


async def test_a_shorter_timeout_stays_as_it_is() -> None:
    assert (await left_in_a_call_of(8)).shorter == 0.25


async def test_what_outlives_its_call_has_its_own_time() -> None:
    router, over, left = MessageRouter(), asyncio.Event(), asyncio.Queue[float]()

    async def later() -> None:
        await over.wait()
        left.put_nowait(within_call(3600))

    @router.register("leave")
    async def leave(conn: Connection, params: Empty) -> None:
        """Go on behind the caller's back."""
        tasks.add(asyncio.create_task(later()))

    tasks: set[asyncio.Task[None]] = set()
    with some_lanes(1) as lanes:
        await make_runner(router, lanes=lanes).run(make_call("leave", timeout_seconds=8))
    over.set()

    async with asyncio.timeout(8):
        assert await left.get() == 3600


async def test_a_call_whose_time_is_up_gives_a_moment_at_least() -> None:
    router, seen = MessageRouter(), list[float]()

    @router.register("overrun")
    async def overrun(conn: Connection, params: Empty) -> None:
        """Block the loop, so that nobody can end the call at its deadline."""
        time.sleep(0.05)  # noqa: ASYNC251 - that is the point
        seen.append(within_call(3600))

    with some_lanes(1) as lanes:
        await make_runner(router, lanes=lanes).run(make_call("overrun", timeout_seconds=0.02))

    assert seen == [LEAST_SECONDS]
