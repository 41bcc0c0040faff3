"""A server that is about to stop finishes what is under way and tells its agents."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import CommandServer
from django_cfg.apps.integrations.grpc.services.commands.registry import (
    register_streaming_service,
    unregister_streaming_service,
)
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig, CommandOutcome
from tests.grpc.streams import (
    Message,
    Recorder,
    Service,
    agent,
    clog,
    handlers,
    make_service,
    one_agent,
    quiet,
    served,
    until,
)


def reconnect(after_seconds: float) -> Message:
    return {"reconnect_after": after_seconds}


async def test_acknowledgements_under_way_are_waited_for_and_nothing_new_begins() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with served(service) as address, agent(address, "a") as connected:
        await until(lambda: service.is_client_connected("a"))
        waiting = asyncio.create_task(service.execute_command("a", {"command": "1"}))
        await connected.hear()
        draining = asyncio.create_task(service.drain(20))
        await asyncio.sleep(0)

        refused = await service.execute_command("a", {"command": "2"})
        assert (refused.outcome, refused.detail) == (CommandOutcome.NOT_CONNECTED, "the server is draining")
        assert await service.send_to_client("a", {"command": "3"}) is False
        assert await service.broadcast_to_all({"command": "3"}) == 0
        async with agent(address) as late:
            assert (await late.status())[0] is grpc.StatusCode.UNAVAILABLE
        assert not draining.done()

        await connected.report("1")
        assert (await waiting).ok
        code, sentence = await connected.status()
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "draining" in sentence
        await draining
        assert notes.disconnected == ["a"]
        assert service.agents() == []


async def test_nobody_comes_in_while_a_server_drains_to_which_nobody_had_come() -> None:
    """As when a second service of the same server still has commands under way."""
    service = make_service()
    async with served(service) as address:
        await service.drain(0)
        async with agent(address) as late:
            assert (await late.status())[0] is grpc.StatusCode.UNAVAILABLE


async def test_an_agent_that_says_its_name_only_then_does_not_come_in_either(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = asyncio.Event()
    service = make_service()
    handle_stream = service.handle_stream

    async def noted(request_iterator: Any, context: Any) -> AsyncGenerator[Message]:
        entered.set()
        async for command in handle_stream(request_iterator, context):
            yield command

    monkeypatch.setattr(service, "handle_stream", noted)
    async with served(service) as address, agent(address) as late:
        await entered.wait()
        await service.drain(0)
        await late.say(id="a")

        assert (await late.status())[0] is grpc.StatusCode.UNAVAILABLE
        assert service.agents() == []


async def test_agents_are_told_and_may_leave_by_themselves() -> None:
    service = make_service(drain_message_creator=reconnect)
    async with one_agent(service) as connected:
        draining = asyncio.create_task(service.drain(20))
        told = await connected.hear()
        await connected.half_close()

        assert 0 <= told["reconnect_after"] <= 1
        assert (await connected.status())[0] is grpc.StatusCode.OK
        await draining


async def test_agents_are_told_even_if_a_ping_still_waits_before() -> None:
    config = BidirectionalStreamingConfig(ping_interval=0.05, ping_timeout=60, max_queue_size=2)
    service = make_service(config, drain_message_creator=reconnect)
    async with one_agent(service) as connected:
        await clog(service, "a")
        seen = service.counts.pings
        await until(lambda: service.counts.pings > seen + 1)
        draining = asyncio.create_task(service.drain(10))
        while "reconnect_after" not in await connected.hear():
            pass
        await connected.half_close()
        await draining


async def test_it_is_bounded_though_agents_neither_answer_nor_read() -> None:
    notes = Recorder()
    service = make_service(quiet(max_queue_size=3), notes, drain_message_creator=reconnect)
    async with served(service) as address, agent(address, "silent") as silent, agent(address, "stuck"):
        await until(lambda: len(service.agents()) == 2)
        await clog(service, "stuck")
        waiting = asyncio.create_task(service.execute_command("silent", {"command": "1"}))
        await silent.hear()
        async with asyncio.timeout(8):
            await service.drain(0.2)

        assert (await waiting).outcome is CommandOutcome.OUTCOME_UNKNOWN
        assert sorted(notes.disconnected) == ["silent", "stuck"]
        assert {reason for _, _, reason in notes.undelivered} == {"draining", "interrupted"}
        assert (await silent.status())[0] is grpc.StatusCode.UNAVAILABLE


@contextlib.asynccontextmanager
async def as_rungrpc(service: Service) -> AsyncGenerator[tuple[CommandServer, str]]:
    server = CommandServer(GRPCConfig())
    server.grpc.add_generic_rpc_handlers((handlers(service),))
    register_streaming_service("drained", service)
    try:
        yield server, f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
    finally:
        unregister_streaming_service("drained")


async def test_the_server_lets_the_last_callbacks_finish() -> None:
    """They have their own time, also where that which was granted to agents is over."""
    done: list[str] = []

    async def slowly(client_id: str) -> None:
        await asyncio.sleep(2.5)
        done.append(client_id)

    service = make_service(on_disconnect=slowly)
    async with as_rungrpc(service) as (server, address), agent(address, "a"):
        await until(lambda: service.is_client_connected("a"))
        await server.drain(0.1)
        assert done == ["a"]


async def test_an_agent_that_does_not_read_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """`rungrpc` stops little after the time that it grants, whatever streams are left then."""
    service = make_service(quiet(max_queue_size=3), drain_message_creator=reconnect)
    async with as_rungrpc(service) as (server, address), agent(address, "stuck"):
        await until(lambda: service.is_client_connected("stuck"))
        await clog(service, "stuck")
        await server.drain(0.2)
    gc.collect()  # a task whose exception nobody has looked at says so as it is deleted

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_queued_commands_are_sent_first() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        for number in range(50):
            assert await service.send_to_client("a", {"command": number})
        draining = asyncio.create_task(service.drain(20))

        assert [(await connected.hear())["command"] for _ in range(50)] == list(range(50))
        await draining


async def test_from_another_thread() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        await asyncio.to_thread(asyncio.run, service.drain(5))

        assert (await connected.status())[0] is grpc.StatusCode.UNAVAILABLE


async def test_waiting_callbacks_are_finished() -> None:
    done: list[Any] = []

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(0.1)
        done.append(given)

    service = make_service(on_disconnect=slowly)
    async with one_agent(service):
        await service.drain(5)

        assert done == [("a",)]
