"""Clients, a server and an agent over real sockets: both modes, with and without async."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.base import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving, served
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig, CommandOutcome
from django_cfg.apps.integrations.grpc.tokens import create_agent_token
from django_cfg.errors import CommandError, InvalidParamsError, ServiceUnavailableError, UnauthorizedError
from django_cfg.rpc import blocking

COMPLETED = CommandOutcome.COMPLETED


def start(command_id: str = "") -> pb2.Command:
    return pb2.Command(command_id=command_id or new_command_id(), start=pb2.Start())


def local(serving: Serving, agent_id: str = "bot-1") -> FleetCommandClient:
    return FleetCommandClient(agent_id, serving.servicer.service)


async def test_both_modes_send(serving: Serving) -> None:
    for client in (FleetCommandClient("bot-1"), local(serving)):
        assert await client._send_command(start()) is True  # pyright: ignore[reportPrivateUsage] - as document 5 does
        assert await client.send_command(start()) is True
    for client in (FleetCommandClient("nobody"), local(serving, "nobody")):
        assert await client.send_command(start()) is False


def test_both_modes_send_without_async(serving: Serving) -> None:
    for client in (FleetCommandClient("bot-1"), local(serving)):
        assert client.send_command_sync(start()) is True
    for client in (FleetCommandClient("nobody"), local(serving, "nobody")):
        assert client.send_command_sync(start()) is False


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert FleetCommandClient("bot-1").send_command_sync(start()) is True


async def test_both_modes_execute(serving: Serving) -> None:
    for client in (FleetCommandClient("bot-1"), local(serving)):
        result = await client.execute_command(start("order-" + str(client.is_same_process())))
        assert (result.outcome, result.agent_id, result.may_have_run) == (COMPLETED, "bot-1", True)
        assert result.message is not None
        assert result.message.report.state == pb2.RUNNING
        assert result.epoch
        assert result.elapsed_seconds > 0


def test_both_modes_execute_without_async(serving: Serving) -> None:
    for client in (FleetCommandClient("bot-1"), local(serving)):
        assert client.execute_command_sync(start()).outcome is COMPLETED
        acknowledged = client.execute_command_sync(start(), wait_for="acknowledged")
        assert acknowledged.outcome is CommandOutcome.ACKNOWLEDGED
    for client in (FleetCommandClient("nobody"), local(serving, "nobody")):
        absent = client.execute_command_sync(start("lost"))
        assert (absent.outcome, absent.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert absent.command_id == "lost"


async def test_blocking_an_event_loop_is_warned_of_once(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    blocking._told.clear()  # pyright: ignore[reportPrivateUsage]
    client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
    for _ in range(2):
        assert client.execute_command_sync(start(), 5.0).ok
        assert client.send_command_sync(start())
    assert await asyncio.to_thread(client.send_command_sync, start())

    said = [record.getMessage() for record in caplog.records if "blocks the event loop" in record.getMessage()]
    twins = ("execute_command", "send_command")
    assert [text.endswith(f"await {twin} there") for text, twin in zip(said, twins, strict=True)] == [True] * 2


async def test_a_registered_service_is_chosen_by_itself(serving: Serving) -> None:
    register_streaming_service("fleet", serving.servicer.service)
    assert await FleetCommandClient("bot-1").execute_command(start())
    assert serving.servicer.requests == []


def test_one_connection_serves_all_threads_and_loops(serving: Serving) -> None:
    def in_a_loop(_: int) -> bool:
        return asyncio.run(FleetCommandClient("bot-1").send_command(start()))

    def without(_: int) -> bool:
        return FleetCommandClient("bot-1").send_command_sync(start())

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(in_a_loop, range(10)), *pool.map(without, range(30))]

    assert answers == [True] * 40
    assert len(serving.servicer.peers) == 40
    assert len(set(serving.servicer.peers)) == 1


def test_without_async_no_event_loop_is_made(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("an event loop")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    for client in (FleetCommandClient("bot-1"), local(serving)):
        assert client.send_command_sync(start())
        assert client.execute_command_sync(start())


async def test_the_deadline_travels(serving: Serving) -> None:
    await FleetCommandClient("bot-1").execute_command(start(), 7.5)
    await FleetCommandClient("bot-1", config=CommandClientConfig(call_timeout=2, grpc_port=serving.port)).send_command(
        start()
    )
    executed, sent = serving.servicer.remaining_seconds
    assert serving.servicer.requests[0].timeout_ms == 7_500
    assert 7.5 < executed <= 8.6
    assert 0 < sent <= 2.1, "gRPC rounds deadlines up on the wire"


async def test_an_event_loop_that_calls_again_has_a_connection_of_its_own(serving: Serving) -> None:
    client = FleetCommandClient("bot-1")
    assert [await client.send_command(start()) for _ in range(5)] == [True] * 5

    shared, *own = serving.servicer.peers
    assert len(set(own)) == 1
    assert shared not in own


async def execute_often(times: int) -> list[bool]:
    return [bool(await FleetCommandClient("bot-1").execute_command(start())) for _ in range(times)]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_connections_of_event_loops_end_with_them(serving: Serving) -> None:
    assert asyncio.run(execute_often(1)) == [True]
    before = open_files()
    for _ in range(20):
        assert asyncio.run(execute_often(3)) == [True] * 3

    assert len(set(serving.servicer.peers)) == 21
    deadline = time.monotonic() + 20
    while open_files() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert open_files() <= before


def test_those_of_loops_that_nobody_shuts_down_end_by_and_by(serving: Serving) -> None:
    assert asyncio.run(execute_often(1)) == [True]
    before = open_files()
    for _ in range(20):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(execute_often(3)) == [True] * 3
        loop.close()

    assert open_files() < before + 10


@pytest.mark.parametrize("calls_before", [0, 1], ids=["shared connection", "own connection"])
async def test_a_cancelled_caller_cancels_its_call(serving: Serving, calls_before: int) -> None:
    """The server stops waiting for the agent, long before the deadline."""
    stop = pb2.Command(command_id="slow", stop=pb2.Stop(grace_seconds=2))
    client = FleetCommandClient("bot-1")
    assert await asyncio.to_thread(client.execute_command_sync, start())
    for _ in range(calls_before):
        assert await client.execute_command(start())
    waiting = asyncio.create_task(client.execute_command(stop, 60))
    await until(lambda: pending(serving) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: pending(serving) == 0)
    assert await client.execute_command(start())


def pending(serving: Serving) -> int:
    return sum(agent.pending_commands for agent in serving.servicer.service.agents())


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is in another thread
            await asyncio.sleep(0.005)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Nobody listens there, and nobody else gets it."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


async def test_no_server(closed_port: int) -> None:
    config = CommandClientConfig(connect_timeout=0.2, grpc_port=closed_port)
    client = FleetCommandClient("bot-1", config=config)
    with pytest.raises(ServiceUnavailableError, match=r"nothing was sent: not within 0\.2 s"):
        await client.send_command(start())
    with pytest.raises(ServiceUnavailableError, match=r"nothing was sent: not within 0\.2 s: .*[Rr]efused"):
        client.send_command_sync(start())
    for result in (await client.execute_command(start()), client.execute_command_sync(start())):
        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert "nothing was sent" in result.detail
        assert "refused" in result.detail


async def test_a_server_that_went_away_and_came_back(serving: Serving) -> None:
    """The next command of the same client says that nothing was sent, and one after the restart goes through."""
    config = CommandClientConfig(connect_timeout=0.2, grpc_port=serving.port)
    client = FleetCommandClient("bot-1", config=config)
    assert await client.send_command(start())
    await asyncio.to_thread(serving.stop)
    result = await client.execute_command(start())
    assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)

    with served(port=serving.port) as again:
        await asyncio.to_thread(again.connect, "bot-1")
        assert await FleetCommandClient("bot-1", grpc_port=again.port).execute_command(start())


class Mute:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self._accepted.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (self._listener, *self._accepted):
            one.close()


def test_a_server_that_accepts_and_says_nothing_is_no_connection() -> None:
    mute = Mute()
    try:
        config = CommandClientConfig(connect_timeout=0.3, grpc_port=mute.port)
        result = FleetCommandClient("bot-1", config=config).execute_command_sync(start(), 10)
        assert (result.outcome, result.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert result.elapsed_seconds < 8
    finally:
        mute.close()


async def test_a_refused_request_is_an_error(serving: Serving) -> None:
    with pytest.raises(ValueError, match="wait_for must be one of 'completed', 'acknowledged', not ''"):
        await FleetCommandClient("bot-1").execute_command(start(), wait_for="")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client = FleetCommandClient("bot-1")
    await client.execute_command(start())
    slow = pb2.Command(command_id="same", stop=pb2.Stop(grace_seconds=1))
    first = asyncio.create_task(client.execute_command(slow))
    await until(lambda: pending(serving) == 1)
    with pytest.raises(CommandError, match="already in flight"):
        await client.execute_command(slow)
    assert await first


KEY = "k" * 32
SECRET = "s" * 32


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"service_api_keys": [KEY], "agent_tokens": "required"}, "x-api-key"),
        ({"agent_tokens": "required"}, "authorization"),
    ],
    ids=["api-key", "token"],
)
async def test_commands_carry_the_credentials_of_the_settings(
    settings: Any, given: dict[str, Any], header: str
) -> None:
    """Without them the server refuses, and says so as an exception: nothing has run."""
    required: dict[str, Any] = {**given, "token_secret": SECRET}
    with served(GRPCConfig(**required)) as serving:
        settings.GRPC = {**required, "port": serving.port}
        serving.connect("bot-1", create_agent_token("bot-1"))
        for _ in range(3):
            assert await FleetCommandClient("bot-1").execute_command(start())
        assert [header in metadata for metadata in serving.servicer.metadata] == [True] * 3

        settings.GRPC = {"port": serving.port}
        with pytest.raises(UnauthorizedError):
            await FleetCommandClient("bot-1").execute_command(start())
        with pytest.raises(UnauthorizedError):
            FleetCommandClient("bot-1").send_command_sync(start())
        assert len(serving.servicer.requests) == 3


async def test_a_full_queue_is_said_before_the_caller_gives_up() -> None:
    """The server waits for room as long as it may by its own settings, but never past the caller's deadline."""
    with served(streaming=BidirectionalStreamingConfig(max_queue_size=1)) as serving:
        serving.open_stream("bot-1")
        large = pb2.Command(command_id="large", start=pb2.Start(reason="x" * 100_000))
        service = serving.servicer.service
        while await service.send_to_client("bot-1", large, timeout=0.3):
            pass
        client = FleetCommandClient("bot-1", config=CommandClientConfig(call_timeout=2.0), grpc_port=serving.port)

        assert await client.send_command(start()) is False


async def test_a_command_without_an_id_is_a_bad_request(serving: Serving) -> None:
    with pytest.raises(InvalidParamsError, match="needs an id"):
        await FleetCommandClient("bot-1").execute_command(pb2.Command(start=pb2.Start()))


async def test_no_time_is_so_short_that_it_counts_as_none(serving: Serving) -> None:
    """Without one, the server waits as long as it likes."""
    await FleetCommandClient("bot-1").execute_command(start(), 0.0001)
    assert [request.timeout_ms for request in serving.servicer.requests] == [1]


async def test_the_largest_message_of_an_agent_comes_back_whole(settings: Any) -> None:
    limits: dict[str, Any] = {"max_message_bytes": 8192}
    with served(GRPCConfig(**limits)) as serving:
        settings.GRPC = {**limits, "port": serving.port}
        report = pb2.Report(command_id="1", stage=pb2.Report.COMPLETED, detail="x" * 8000)
        message = pb2.AgentMessage(agent_id="bot-1", report=report)
        report.detail += "x" * (8192 - message.ByteSize())
        serving.open_stream("bot-1", pb2.AgentMessage(agent_id="bot-1", report=report))
        result = await FleetCommandClient("bot-1").execute_command(start("1"))
        assert (result.outcome, len(result.detail)) == (COMPLETED, len(report.detail))

        with pytest.raises(InvalidParamsError, match="larger than GRPC"):
            await FleetCommandClient("bot-1").send_command(pb2.Command(start=pb2.Start(reason="x" * 8192)))
