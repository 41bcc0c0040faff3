from __future__ import annotations

import asyncio
import os
import threading

import pytest

from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop


async def thread_name() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def test_work_of_others_runs_in_the_owner() -> None:
    home = OwningLoop()
    assert home.adopt(is_free=False)
    assert not home.adopt(is_free=False)
    here = threading.current_thread().name

    assert home.is_here
    assert await asyncio.to_thread(home.run_blocking, thread_name) == here
    assert await asyncio.to_thread(lambda: asyncio.run(home.run(thread_name))) == here
    assert not await asyncio.to_thread(lambda: home.is_here)


async def test_what_the_work_raises_is_the_callers_even_a_timeout() -> None:
    home = OwningLoop()
    home.adopt(is_free=False)

    async def fail() -> None:
        raise TimeoutError("own")

    with pytest.raises(TimeoutError, match="own"):
        await asyncio.to_thread(home.run_blocking, fail)


async def test_a_caller_that_gives_up_stops_the_work() -> None:
    home = OwningLoop()
    home.adopt(is_free=False)
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(home.run(work), 0.05)

    await asyncio.to_thread(asyncio.run, give_up())
    await asyncio.wait_for(stopped.wait(), 5)


async def test_blocking_the_owner_itself_is_refused() -> None:
    home = OwningLoop()
    home.adopt(is_free=False)
    with pytest.raises(RuntimeError, match="await the form without _sync"):
        home.run_blocking(thread_name)


async def test_two_loops_at_once_are_refused_unless_the_first_is_free() -> None:
    home = OwningLoop()
    home.adopt(is_free=False)

    async def adopt(is_free: bool) -> bool:
        return home.adopt(is_free)

    with pytest.raises(RuntimeError, match="one event loop"):
        await asyncio.to_thread(asyncio.run, adopt(False))
    assert await asyncio.to_thread(asyncio.run, adopt(True))
    assert not home.runs


def test_a_loop_that_has_ended_is_told() -> None:
    home = OwningLoop()

    async def adopt() -> None:
        home.adopt(is_free=False)

    asyncio.run(adopt())

    assert not home.runs
    with pytest.raises(ConnectionError):
        home.run_blocking(thread_name)


async def test_in_a_forked_child_no_loop_runs() -> None:
    """Its copy of the loop looks as if it did; who gave it work would wait for ever."""
    home = OwningLoop()
    home.adopt(is_free=False)

    def runs_in_a_child() -> int:
        child = os.fork()
        if child == 0:
            os._exit(home.runs)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert home.runs
    assert await asyncio.to_thread(runs_in_a_child) == 0
