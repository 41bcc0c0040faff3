"""Commands from other threads and other event loops reach agents at once, though the server's loop is at rest."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from asgiref.sync import async_to_sync, sync_to_async

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.rpc import lanes
from tests.grpc.echoing import BOUND_SECONDS, opened, serving
from tests.grpc.streams import Agent, Recorder, Service, clog, make_service, one_agent, quiet, until

COMMANDS = 20

Send = Callable[[Service, int], Any]


def by_sync_form(service: Service, number: int) -> bool:
    return service.send_to_client_sync("a", {"command": number})


def by_async_to_sync(service: Service, number: int) -> bool:
    return async_to_sync(service.send_to_client)("a", {"command": number})


def by_foreign_loop(service: Service, number: int) -> bool:
    return asyncio.run(service.send_to_client("a", {"command": number}))


def by_the_queue(service: Service, number: int) -> bool:
    service.get_active_connections()["a"].put_nowait({"command": number})
    return True


@pytest.mark.parametrize("send", [by_sync_form, by_async_to_sync, by_foreign_loop, by_the_queue])
async def test_all_arrive_while_the_loop_idles(send: Send) -> None:
    service = make_service()
    async with one_agent(service) as connected:
        with ThreadPoolExecutor(1) as pool:
            for number in range(COMMANDS):
                sent = pool.submit(send, service, number)
                assert await connected.hear() == {"command": number}
                assert sent.result(5) is True


async def test_a_full_queue_is_waited_for_from_a_foreign_loop_too() -> None:
    service = make_service(quiet(max_queue_size=1, queue_timeout=60))
    async with one_agent(service) as connected:
        await clog(service, "a")
        sending = asyncio.create_task(asyncio.to_thread(by_foreign_loop, service, 1))
        while (await connected.hear())["command"] != 1:
            pass

        assert await sending is True
        await clog(service, "a")
        assert await asyncio.to_thread(service.send_to_client_sync, "a", {"command": 2}, 0) is False


async def test_executing_from_a_thread() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        waiting = asyncio.create_task(asyncio.to_thread(service.execute_command_sync, "a", {"command": "1"}, 5.0))
        assert await connected.hear() == {"command": "1"}
        await connected.report("1", detail="from afar")
        result = await waiting

        assert (result.ok, result.detail) == (True, "from afar")


async def test_executing_from_many_threads_at_once() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        answering = asyncio.create_task(_answer(connected, 50))
        with ThreadPoolExecutor(8) as pool:
            loop = asyncio.get_running_loop()
            execute = service.execute_command_sync
            jobs = [loop.run_in_executor(pool, execute, "a", {"command": str(one)}, 10.0) for one in range(50)]
            results = await asyncio.gather(*jobs)
        await answering

        assert all(result.ok for result in results)


async def _answer(connected: Agent, count: int) -> None:
    for _ in range(count):
        await connected.report((await connected.hear())["command"])


async def test_the_sync_forms_say_what_to_do_on_the_loops_own_thread() -> None:
    service = make_service()
    async with one_agent(service):
        with pytest.raises(RuntimeError, match="await the form without _sync"):
            service.send_to_client_sync("a", {"command": "1"})
        with pytest.raises(RuntimeError, match="await the form without _sync"):
            service.execute_command_sync("a", {"command": "1"})


async def test_a_synchronous_processor_in_django_s_thread_may_send() -> None:
    notes = Recorder()

    async def process(client_id: str, message: dict[str, Any], queue: Any) -> None:
        await sync_to_async(by_sync_form)(service, 1)
        await sync_to_async(by_async_to_sync)(service, 2)

    service = make_service(notes=notes, message_processor=process)
    async with one_agent(service) as connected:
        assert [await connected.hear(), await connected.hear()] == [{"command": 1}, {"command": 2}]


def test_a_loop_that_has_ended_has_no_agents_and_keeps_nobody_waiting() -> None:
    service = make_service()
    results: list[Any] = []
    sent = threading.Event()

    async def serve() -> None:
        async with one_agent(service) as connected:
            thread.start()
            await connected.hear()
            sent.set()

    def execute() -> None:
        results.append(service.execute_command_sync("a", {"command": "1"}, 60.0))

    thread = threading.Thread(target=execute)
    begun = time.monotonic()
    asyncio.run(serve())
    thread.join(10)

    assert time.monotonic() - begun < 10
    assert [(one.outcome, one.may_have_run) for one in results] == [("outcome_unknown", True)]
    assert not service.is_client_connected("a")
    assert service.agents() == []
    assert service.send_to_client_sync("a", {"command": "1"}) is False


async def test_database_work_of_one_agent_does_not_wait_for_that_of_another() -> None:
    """Django's thread-sensitive work has one thread per message, not one for all."""
    barrier = threading.Barrier(2, timeout=10)
    passed: list[int] = []

    async def process(client_id: str, message: dict[str, Any], queue: Any) -> None:
        passed.append(await sync_to_async(barrier.wait)())

    service = make_service(message_processor=process)
    async with one_agent(service, "a"):
        other = make_service(message_processor=process)
        async with one_agent(other, "b"):
            await until(lambda: sorted(passed) == [0, 1])


async def test_unary_methods_have_database_connections_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does one wait for another, nor is a connection kept for the calls after: it may have died meanwhile."""
    barrier = threading.Barrier(2, timeout=10)
    cleaned: list[str] = []
    monkeypatch.setattr(lanes, "close_old_connections", lambda: cleaned.append(threading.current_thread().name))

    async def meet(request: bytes, context: Any) -> bytes:
        await sync_to_async(barrier.wait)()
        return request

    config = GRPCConfig()
    async with serving(config, Meet=grpc.unary_unary_rpc_method_handler(meet)) as address:
        async with opened(config, address) as channel:
            call: Any = channel.unary_unary("/test.Echo/Meet")
            await asyncio.gather(*(call(b"", timeout=BOUND_SECONDS) for _ in range(2)))
        await until(lambda: len(set(cleaned)) == 2)
