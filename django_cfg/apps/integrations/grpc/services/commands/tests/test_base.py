"""The client: its mode, its address, its limits, and what it says when it cannot send."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import uuid
from dataclasses import FrozenInstanceError
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.commands.base import CommandClientConfig, StreamingCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples.client import CommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.commands.failures import failure_of
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving
from django_cfg.errors import (
    CommandError,
    CommandOutcomeUnknownError,
    ConfigurationError,
    InvalidParamsError,
    RPCError,
    ServiceUnavailableError,
)
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.running import make_call, make_runner, some_lanes


class PlainClient(StreamingCommandClient[pb2.Command]):
    """Without a way to other processes."""


class OwnWay(StreamingCommandClient[pb2.Command]):
    async def _send_via_grpc(self, command: pb2.Command) -> bool:
        return command.command_id == "yes"


def new_service() -> Any:
    return FleetServicer()._streaming_service  # pyright: ignore[reportPrivateUsage] - as document 5 does


def test_the_mode_is_chosen_for_each_command() -> None:
    service = new_service()
    client = FleetCommandClient("bot-1")
    assert not client.is_same_process()
    assert FleetCommandClient("bot-1", service).is_same_process()
    assert not PlainClient("bot-1").is_same_process()

    register_streaming_service("fleet", service)
    assert client.is_same_process()
    assert FleetCommandClient("bot-1", config=CommandClientConfig(call_timeout=9)).is_same_process()


class Timed:
    """In the place of a service: how long each command may take."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def execute_command(self, client_id: str, command: Any, timeout: float, *, wait_for: str) -> None:  # noqa: ASYNC109
        self.seconds.append(timeout)


async def test_a_command_of_a_handler_has_no_longer_than_the_handler_itself() -> None:
    service: Any = Timed()
    client = FleetCommandClient("bot-1", service)
    router = MessageRouter()

    @router.register("start_bot")
    async def start_bot(conn: Any, params: Any) -> None:
        """Start it while somebody waits."""
        await client.execute_command(pb2.Command(command_id="c1"), timeout=600)

    with some_lanes(1) as lanes:
        await make_runner(router, lanes=lanes).run(make_call("start_bot", timeout_seconds=8))
    await client.execute_command(pb2.Command(command_id="c2"), timeout=600)

    inside, outside = service.seconds
    assert 0 < inside <= 8
    assert outside == 600


def test_an_address_in_the_arguments_is_that_of_another_process() -> None:
    service = new_service()
    register_streaming_service("fleet", service)
    given: dict[str, Any]
    for given in ({"grpc_host": "other"}, {"grpc_port": 7000}):
        client = FleetCommandClient("bot-1", **given)
        assert not client.is_same_process()
        assert FleetCommandClient("bot-1", service, **given).is_same_process()


@pytest.mark.parametrize(
    ("listens_at", "address"),
    [
        ("127.0.0.1", "127.0.0.1:50051"),
        ("::1", "[::1]:50051"),
        ("0.0.0.0", "127.0.0.1:50051"),  # noqa: S104 - a setting
        ("::", "[::1]:50051"),
        ("10.1.2.3", "10.1.2.3:50051"),
        ("fd00::1", "[fd00::1]:50051"),
    ],
)
def test_the_address_of_the_settings(settings: Any, listens_at: str, address: str) -> None:
    """Never localhost: somebody else may listen on its other address, and would hear commands and credentials."""
    settings.GRPC = {"host": listens_at, "port": 50051}
    assert FleetCommandClient("bot-1").get_grpc_address() == address


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "localhost:50051"),
        ({"host": "127.0.0.1"}, "127.0.0.1:50051"),
        ({"host": "::1"}, "[::1]:50051"),
        ({"host": "0.0.0.0"}, "localhost:50051"),  # noqa: S104 - a setting
    ],
)
def test_the_address_of_settings_with_tls_is_what_the_certificate_may_name(
    settings: Any, given: dict[str, str], address: str
) -> None:
    settings.GRPC = {"tls_server_name": "", "server_ca": "ca.pem", **given}
    assert FleetCommandClient("bot-1").get_grpc_address() == address


def test_an_address_of_its_own(settings: Any) -> None:
    settings.GRPC = {"host": "10.1.2.3", "port": 6000}
    config = CommandClientConfig(grpc_host="fleet.internal", grpc_port=7000)

    assert FleetCommandClient("bot-1", config=config).get_grpc_address() == "fleet.internal:7000"
    assert FleetCommandClient("bot-1", config=config, grpc_port=7001).get_grpc_address() == "fleet.internal:7001"
    assert FleetCommandClient("bot-1", grpc_port=7002).get_grpc_address() == "10.1.2.3:7002"
    assert FleetCommandClient("bot-1", config=CommandClientConfig(call_timeout=9)).get_grpc_address() == "10.1.2.3:6000"
    named = CommandClientConfig(grpc_host="localhost")
    assert FleetCommandClient("bot-1", config=named).get_grpc_address() == "localhost:6000"
    assert FleetCommandClient("bot-1", grpc_host="other").get_grpc_address() == "other:6000"


def test_a_shared_config_never_changes() -> None:
    """Of two clients with one config, each keeps its own address."""
    shared = CommandClientConfig(grpc_port=7000)
    one = FleetCommandClient("bot-1", config=shared, grpc_port=7001)
    two = FleetCommandClient("bot-2", config=shared)
    assert (one.get_grpc_address(), two.get_grpc_address()) == ("localhost:7001", "localhost:7000")
    assert dataclasses.replace(shared, call_timeout=1).grpc_host == "localhost"
    assert shared == CommandClientConfig(grpc_port=7000)
    with pytest.raises(FrozenInstanceError):
        shared.grpc_port = 1  # type: ignore[misc]


def test_the_limits_without_a_config() -> None:
    config = CommandClientConfig()
    assert (config.queue_timeout, config.connect_timeout, config.call_timeout) == (5.0, 3.0, 5.0)
    assert (config.grpc_host, config.grpc_port) == ("localhost", None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grpc_port": 0}, "grpc_port must be from 1 to 65535, not 0"),
        ({"grpc_port": 65536}, "grpc_port must be from 1"),
        ({"grpc_port": "50051"}, "grpc_port must be from 1 to 65535, not '50051'"),
        ({"grpc_port": True}, "grpc_port must be from 1 to 65535, not True"),
        ({"grpc_host": ""}, "grpc_host must name a host"),
        ({"grpc_host": " "}, "grpc_host must name a host"),
        ({"grpc_host": "localhost:50051"}, "not 'localhost:50051'; the port is grpc_port"),
        ({"grpc_host": "http://localhost"}, "grpc_host must name a host alone"),
        ({"grpc_host": "[::1]"}, "grpc_host must name a host alone"),
        ({"grpc_host": 7}, "grpc_host must name a host alone"),
        ({"connect_timeout": "3"}, r"connect_timeout must be a number of seconds from 0 to 86400 \(a day\), not '3'"),
        ({"queue_timeout": None}, "queue_timeout must be a number"),
        ({"connect_timeout": 0}, "must be above 0"),
        ({"call_timeout": 0}, "must be above 0"),
        ({"queue_timeout": -1}, "queue_timeout must be a number of seconds from 0"),
        ({"call_timeout": float("inf")}, "call_timeout must be a number"),
    ],
)
def test_limits_that_cannot_work(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CommandClientConfig(**given)


@pytest.mark.parametrize("given", [{"grpc_port": 0}, {"grpc_host": ""}, {"grpc_host": "localhost:50051"}])
def test_an_empty_address_is_no_default(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FleetCommandClient("bot-1", **given)


def test_a_server_at_any_free_port_cannot_be_dialled(settings: Any) -> None:
    settings.GRPC = {"port": 0}
    with pytest.raises(ConfigurationError, match="grpc_port"):
        FleetCommandClient("bot-1").get_grpc_address()


def test_importing_it_loads_no_grpcio_and_reads_no_settings() -> None:
    code = (
        "import sys; from django_cfg.apps.integrations.grpc.services.commands import StreamingCommandClient;"
        "from django_cfg.apps.integrations.grpc.services.commands.base import CommandClientConfig;"
        "CommandClientConfig();"
        "print(sorted({'grpc', 'google.protobuf'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}).stdout == "[]\n"


def test_a_client_without_an_agent() -> None:
    with pytest.raises(ValueError, match="client_id"):
        FleetCommandClient("")
    with pytest.raises(ValueError, match=r"client_id must be text that UTF-8 can write, not 'bot-\\ud800'"):
        FleetCommandClient("bot-\ud800")
    given: Any
    for given in (None, True, 1.5, b"bot-1", object()):
        with pytest.raises(TypeError, match="client_id must be an agent's id: a text, an int or a UUID, not"):
            FleetCommandClient(given)


def test_a_dict_is_no_config() -> None:
    with pytest.raises(TypeError, match="config must be a CommandClientConfig, not dict"):
        FleetCommandClient("bot-1", config={"call_timeout": 9})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_primary_key_names_the_agent_of_its_text() -> None:
    key = uuid.uuid4()
    assert FleetCommandClient(5).client_id == "5"
    assert FleetCommandClient(key).client_id == str(key)
    assert CommandClient(5).client.client_id == "5"


async def test_no_mode_sends_nothing(serving: Serving) -> None:
    nothing: Any = None
    for client in (FleetCommandClient("bot-1"), FleetCommandClient("bot-1", serving.servicer.service)):
        for send in (client.send_command, client.execute_command):
            with pytest.raises(TypeError, match="None is no command"):
                await send(nothing)
        for send_sync in (client.send_command_sync, client.execute_command_sync):
            with pytest.raises(TypeError, match="None is no command"):
                await asyncio.to_thread(send_sync, nothing)
    for service_send in (serving.servicer.service.send_to_client, serving.servicer.service.execute_command):
        with pytest.raises(TypeError, match="None is no command"):
            await service_send("bot-1", nothing)
    with pytest.raises(TypeError, match="None is no command"):
        await serving.servicer.service.broadcast_to_all(nothing)
    assert serving.servicer.requests == []


async def test_a_client_without_a_protocol_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"PlainClient .* stub_class and request_class"):
        await PlainClient("bot-1").send_command(pb2.Command())
    with pytest.raises(CommandError, match="no streaming service runs in this process"):
        await PlainClient("bot-1")._send_direct(pb2.Command())  # pyright: ignore[reportPrivateUsage]


async def test_a_request_without_limits_cannot_wait_for_an_agent() -> None:
    class Sending(PlainClient):
        stub_class = pb2_grpc.FleetStub
        request_class = pb2.AgentMessage
        client_id_field = "agent_id"
        command_field = "hello"

    with pytest.raises(NotImplementedError, match="AgentMessage needs the fields wait_for and timeout_ms"):
        await Sending("bot-1").execute_command(pb2.Hello())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_way_of_its_own_works_without_async_too() -> None:
    client = OwnWay("bot-1")
    assert client.send_command_sync(pb2.Command(command_id="yes")) is True
    assert client.send_command_sync(pb2.Command(command_id="no")) is False
    with pytest.raises(NotImplementedError, match="for send_command alone, _send_via_grpc"):
        client.execute_command_sync(pb2.Command(command_id="yes"))


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_a_time_that_nobody_can_wait(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout must be"):
        await FleetCommandClient("bot-1").execute_command(pb2.Command(), seconds)


class Ended(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str = "why", *trailing: tuple[str, str]) -> None:
        self._said = code, details
        self._trailing = trailing

    def code(self) -> grpc.StatusCode:
        return self._said[0]

    def details(self) -> str:
        return self._said[1]

    def trailing_metadata(self) -> Any:
        return self._trailing


def told(error: grpc.RpcError, address: str = "a:1") -> RPCError:
    return failure_of(error, address, connected=False)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_each_status_has_an_exception(code: grpc.StatusCode) -> None:
    error = told(Ended(code), "localhost:1")
    assert isinstance(error, RPCError)
    assert "localhost:1" in error.message
    assert code.name in error.message


def test_an_answer_that_is_too_large_says_nothing_of_the_command() -> None:
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    lost = told(Ended(exhausted, "CLIENT: Received message larger than max (5 vs. 4)"))
    assert isinstance(lost, CommandOutcomeUnknownError)
    assert lost.details == {"may_have_run": True}
    for text in (
        "SERVER: Received message larger than max (5 vs. 4)",
        "CLIENT: Sent message larger than max (5 vs. 4)",
    ):
        assert isinstance(told(Ended(exhausted, text)), InvalidParamsError)


def test_a_blocked_address_says_until_when() -> None:
    blocked = told(Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many failures; retry in 267 s"))
    full = told(Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!"))

    assert (blocked.code, blocked.retryable, blocked.retry_after) == ("rate_limit_exceeded", True, 267.0)
    assert (full.retryable, full.retry_after) == (False, None)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e10])
def test_a_time_that_nobody_waits_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"timeout must be above 0 and at most 86400 seconds \(a day\)"):
        FleetCommandClient("bot-1", grpc_port=1).execute_command_sync(pb2.Command(command_id="c"), timeout=seconds)


def test_only_a_known_text_means_that_nothing_was_sent() -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert isinstance(told(Ended(unavailable, "failed to connect to all addresses; x")), ServiceUnavailableError)
    assert isinstance(told(Ended(unavailable, "Socket closed")), CommandError)
    assert isinstance(told(Ended(unavailable, "errors resolving a:1: not found")), ServiceUnavailableError)
    for removed in (7, 8):
        text = f"Stream removed (RST_STREAM (Received RST_STREAM with error code {removed}))"
        kind = ServiceUnavailableError if removed == 7 else CommandOutcomeUnknownError
        assert isinstance(told(Ended(unavailable, text)), kind)


NEVER_SENT = "failed to connect to all addresses; last error: UNKNOWN: Connection refused"
REFUSED = "Received RST_STREAM with error code 7"


def test_what_a_server_says_of_its_own_calls_means_nothing_for_this_one() -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    exhausted, larger = grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (5 vs. 4)"
    for code, text in ((unavailable, NEVER_SENT), (unavailable, REFUSED), (exhausted, larger)):
        answered = Ended(code, text, ("django-cfg-answered", "1"))
        assert isinstance(told(answered), CommandOutcomeUnknownError)
    connected = failure_of(Ended(unavailable, NEVER_SENT), "a:1", connected=True)
    assert isinstance(connected, CommandOutcomeUnknownError)
