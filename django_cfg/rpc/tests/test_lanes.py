"""Each fault that lanes exist to avoid, shown to be absent with threads and connections of a real database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.db.backends.signals import connection_created

from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner
from django_cfg.rpc.tests.running import BOUND_SECONDS, Replies, make_call, make_runner, some_lanes, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened() -> Iterator[list[threading.Thread]]:
    """The threads that opened a connection, once per connection."""
    threads: list[threading.Thread] = []

    def note(**kwargs: Any) -> None:
        threads.append(threading.current_thread())

    connection_created.connect(note)
    yield threads
    connection_created.disconnect(note)


def lane_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("rpc-lane")}


async def thread_of_query() -> threading.Thread:
    thread: threading.Thread = await sync_to_async(threading.current_thread)()
    return thread


class World:
    """Handlers around one router; `run` makes a call and returns its reply."""

    def __init__(self, lanes: Lanes) -> None:
        self.router = MessageRouter()
        self.runner: CallRunner = make_runner(self.router, lanes=lanes)
        self.gate = threading.Event()
        self.threads: list[threading.Thread] = []
        for name in ("count", "blocked", "nothing", "twice"):
            self.router.register_handler(name, getattr(self, name))

    async def run(self, method: str, **changes: Any) -> Any:
        reply = await self.runner.run(make_call(method, **changes))
        return reply.result if reply.error is None else reply.error

    async def count(self, conn: Any, params: Any) -> int:
        self.threads.append(await thread_of_query())
        return await User.objects.acount()

    async def blocked(self, conn: Any, params: Any) -> None:
        await sync_to_async(self.gate.wait)(3 * BOUND_SECONDS)

    async def nothing(self, conn: Any, params: Any) -> str:
        return "done"

    async def twice(self, conn: Any, params: Any) -> bool:
        first = await sync_to_async(lambda: id(connections["default"].connection))()
        await User.objects.acreate(username=f"user {conn.correlation_id}")
        return first != await sync_to_async(lambda: id(connections["default"].connection))()


async def test_hundreds_of_calls_use_no_more_threads_than_lanes(opened: list[threading.Thread]) -> None:
    before = threading.active_count()
    with some_lanes(3) as lanes:
        world = World(lanes)
        results = await asyncio.gather(*(world.run("count") for _ in range(200)))
        assert results == [b"0"] * 200
        assert len(set(world.threads)) <= 3
        assert threading.active_count() <= before + 3
        assert set(opened) <= lane_threads()
    await until(lambda: threading.active_count() <= before)


async def test_no_connection_outlives_its_call(opened: list[threading.Thread]) -> None:
    with some_lanes(2) as lanes:
        world = World(lanes)
        for _ in range(10):
            await world.run("twice", correlation_id=str(_))
            await until(lambda: lanes.leased == 0)
        state = await asyncio.gather(*(world.run("count") for _ in range(2)))
        assert state == [b"10", b"10"]
        await until(lambda: lanes.leased == 0)
        left = [lane.submit(lambda: connections["default"].connection) for lane in lanes._all]  # pyright: ignore[reportPrivateUsage]
        assert [future.result(BOUND_SECONDS) for future in left] == [None] * len(left)


async def test_queries_of_different_calls_run_at_the_same_time() -> None:
    barrier = threading.Barrier(4)
    router = MessageRouter()

    @router.register("meet")
    async def meet(conn: Any, params: Any) -> None:
        await sync_to_async(barrier.wait)(BOUND_SECONDS)

    with some_lanes(4) as lanes:
        runner = make_runner(router, lanes=lanes)
        replies = await asyncio.gather(*(runner.run(make_call("meet")) for _ in range(4)))
        assert [reply.error for reply in replies] == [None] * 4
    assert meet is router.lookup("meet").handler


async def test_a_call_without_database_waits_for_no_lane() -> None:
    with some_lanes(1) as lanes:
        world = World(lanes)
        holding = asyncio.create_task(world.run("blocked"))
        await until(lambda: lanes.leased == 1)
        assert await world.run("nothing") == b'"done"'
        world.gate.set()
        assert await holding == b"null"


async def test_one_call_keeps_one_connection() -> None:
    with some_lanes(4) as lanes:
        world = World(lanes)
        router = world.router
        seen: list[int] = []

        @router.register("several")
        async def several(conn: Any, params: Any) -> None:
            for _ in range(3):
                await User.objects.acount()
                seen.append(await sync_to_async(lambda: id(connections["default"].connection))())

        await asyncio.gather(*(world.run("count") for _ in range(3)), world.run("several"))
        assert len(set(seen)) == 1
        assert several is router.lookup("several").handler


async def test_a_cancelled_calls_lane_stays_leased_until_its_thread_returns() -> None:
    with some_lanes(1) as lanes:
        world = World(lanes)
        error = await world.run("blocked", timeout_seconds=0.05)
        assert error.code == "timeout"
        assert lanes.leased == 1
        waiting = asyncio.create_task(world.run("count"))
        await asyncio.sleep(0)
        assert lanes.leased == 1
        assert not world.threads
        world.gate.set()
        assert await waiting == b"0"
        await until(lambda: lanes.leased == 0)


async def test_a_call_that_gives_up_waiting_leaves_the_lane_to_others() -> None:
    with some_lanes(1) as lanes:
        world = World(lanes)
        holding = asyncio.create_task(world.run("blocked"))
        await until(lambda: lanes.leased == 1)
        for _ in range(5):
            assert (await world.run("count", timeout_seconds=0.02)).code == "timeout"
        await until(lambda: not lanes._waiting)  # pyright: ignore[reportPrivateUsage]
        following = asyncio.create_task(world.run("count"))
        world.gate.set()
        assert await following == b"0"
        await holding
        assert len(world.threads) == 1
        await until(lambda: lanes.leased == 0)


async def test_the_requests_own_context_is_not_inherited() -> None:
    replies = Replies()
    with some_lanes(2) as lanes:
        world = World(lanes)
        async with ThreadSensitiveContext():
            request_thread = await thread_of_query()
            world.runner.start(make_call("count"), replies.encode, replies.send)
        assert await replies.next() == {"result": 0}
        assert request_thread not in world.threads
        assert set(world.threads) <= lane_threads()


async def test_a_task_that_outlives_its_call_gets_a_lane_for_each_piece_of_work() -> None:
    go, done = asyncio.Event(), asyncio.Event()
    threads: list[threading.Thread] = []
    background: list[asyncio.Task[None]] = []
    router = MessageRouter()

    async def later() -> None:
        await go.wait()
        for number in range(3):
            await User.objects.acreate(username=f"later {number}")
            threads.append(await thread_of_query())
        done.set()

    @router.register("leave")
    async def leave(conn: Any, params: Any) -> None:
        await User.objects.acount()
        background.append(asyncio.create_task(later()))

    with some_lanes(1) as lanes:
        await make_runner(router, lanes=lanes).run(make_call("leave"))
        await until(lambda: lanes.leased == 0)
        go.set()
        async with asyncio.timeout(BOUND_SECONDS):
            await done.wait()
        assert set(threads) <= lane_threads()
        await until(lambda: lanes.leased == 0)
    assert leave is router.lookup("leave").handler


async def test_a_transaction_stays_in_its_lane() -> None:
    def create() -> None:
        with transaction.atomic():
            User.objects.create(username="atomic")
            raise ValueError("undone")

    router = MessageRouter()

    @router.register("atomic")
    async def atomic(conn: Any, params: Any) -> None:
        await sync_to_async(create)()

    with some_lanes(2) as lanes:
        reply = await make_runner(router, lanes=lanes).run(make_call("atomic"))
        assert reply.error is not None
        assert reply.error.message == "undone"
    assert await User.objects.acount() == 0
    assert atomic is router.lookup("atomic").handler


def test_a_synchronous_callers_thread_does_the_database_work(opened: list[threading.Thread]) -> None:
    """As under Django's TestCase and under WSGI."""
    with some_lanes(2) as lanes, transaction.atomic():
        world = World(lanes)
        User.objects.create(username="not committed")
        opened.clear()
        assert async_to_sync(world.run)("count") == b"1"
        assert world.threads == [threading.current_thread()]
        assert not opened
        assert not lane_threads()


def test_closing_while_a_lane_is_busy() -> None:
    async def run() -> None:
        lanes = Lanes(1)
        world = World(lanes)
        holding = asyncio.create_task(world.run("blocked"))
        await until(lambda: lanes.leased == 1)
        lanes.close()
        world.gate.set()
        assert await holding == b"null"
        await until(lambda: not lane_threads())

    asyncio.run(run())


async def test_closed_lanes_still_serve_and_keep_no_thread() -> None:
    """As for a service that another event loop takes over, and for callbacks that end late."""
    lanes = Lanes(1)
    world = World(lanes)
    for _ in range(3):
        assert await asyncio.wait_for(world.run("count"), BOUND_SECONDS) == b"0"
        lanes.close()
    await until(lambda: not lane_threads())
    assert lanes.leased == 0
