"""The server as a process: it starts, says what it serves or why it cannot, reloads, and ends in order."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from django_cfg.rpc.leaving import SAME_SECONDS
from tests.faults.interrupting import press_until_ended
from tests.grpc.project import BOUND_SECONDS, ECHO, Project, wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.add_app("fleet")
    return project.configure()


def save(source: Path, text: str, seen: Callable[[], bool]) -> None:
    """Until the reloader has noticed: what changes before its first look goes unseen."""
    source.write_text(text)
    changed = source.stat().st_mtime
    for _ in range(int(BOUND_SECONDS)):
        changed += 2
        os.utime(source, (changed, changed))
        with suppress(AssertionError):
            wait_until(seen, seconds=3)
            return
    raise AssertionError("the change was not noticed")


@contextmanager
def channel(project: Project) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(project.address) as opened:
        yield opened


SLOW = """    import asyncio
    print("it runs", flush=True)
    await asyncio.sleep(50)
    return request
"""


def echo(opened: grpc.Channel, message: bytes = b"hello") -> bytes:
    answer: bytes = opened.unary_unary("/test.Echo/Echo")(message, timeout=BOUND_SECONDS, wait_for_ready=True)
    return answer


def listed_services(opened: grpc.Channel) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(opened)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(iter(stub.ServerReflectionInfo(iter([request]), timeout=BOUND_SECONDS)))
    return {service.name for service in answer.list_services_response.service}


@pytest.mark.parametrize("options", [["--noreload"], []], ids=["noreload", "autoreload"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_status_0(project: Project, options: list[str], number: signal.Signals) -> None:
    """Its watchers hear NOT_SERVING first, and handlers were found and called once."""
    with project.manage("rungrpc", *options) as server, channel(project) as opened:
        server.until_serving()
        assert echo(opened) == b"hello"
        watch = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(), timeout=BOUND_SECONDS)
        assert next(watch).status == SERVING

        server.send(number)

        assert next(watch).status == NOT_SERVING
        assert server.wait() == 0, server.log
        assert server.log.count("called") == 1
        assert server.log.count("handlers of") == 1


@pytest.mark.parametrize("time", range(3))
def test_control_c_in_a_terminal_is_one_signal(project: Project, time: int) -> None:
    with project.manage("rungrpc") as server, channel(project) as opened:
        server.until_serving()
        watch = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(), timeout=BOUND_SECONDS)
        assert next(watch).status == SERVING

        server.press_control_c()

        assert next(watch).status == NOT_SERVING
        assert server.wait() == 0, server.log
        assert "Traceback" not in server.log


def test_a_second_control_c_gives_up_what_runs(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add_app("fleet", ECHO.replace("    return request\n", SLOW, 1))
    with project.configure(drain_seconds=60.0).manage("rungrpc", "--noreload") as server, channel(project) as opened:
        server.until_serving()
        pending = opened.unary_unary("/test.Echo/Echo").future(b"", timeout=BOUND_SECONDS, wait_for_ready=True)
        server.until_logged("it runs")

        assert press_until_ended(partial(server.send, signal.SIGINT), server.status) >= SAME_SECONDS
        assert "a second CONTROL-C" in server.log
        assert pending.code() == grpc.StatusCode.UNAVAILABLE


def test_each_service_is_listed_with_its_source(project: Project) -> None:
    with project.manage("rungrpc", "--noreload") as server:
        server.until_serving()
        line = (project.directory / "fleet" / "grpc_handlers.py").read_text().split("\n").index(
            "def grpc_handlers(server):"
        ) + 1
        assert f"test.Echo  ({project.directory}/fleet/grpc_handlers.py:{line})" in server.log


def test_the_address_of_the_command_line_counts(project: Project) -> None:
    other = Project(project.directory / "unused")
    with project.manage("rungrpc", other.address, "--noreload") as server, channel(other) as opened:
        server.until_serving()
        assert echo(opened) == b"hello"
    for wrong in ("nowhere", "127.0.0.1:99999"):
        with project.manage("rungrpc", wrong, "--noreload") as refused:
            assert refused.wait() == 1
            assert f"CommandError: {wrong!r} is no address" in refused.log


@pytest.mark.parametrize("options", [["--noreload"], []], ids=["noreload", "autoreload"])
def test_a_second_server_on_the_port_names_the_first(project: Project, options: list[str]) -> None:
    with project.manage("rungrpc", "--noreload") as first:
        first.until_serving()
        with project.manage("rungrpc", *options) as second:
            assert second.wait() == 1
            assert f"port {project.port} is in use by" in second.log
            assert f"(process {first.pid})" in second.log


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_address_of_localhost_is_left_to_somebody_else(project: Project, host: str) -> None:
    """Clients of settings without a host dial localhost, whichever of its addresses answers."""
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", project.port))
        except OSError:
            pytest.skip("this machine has no IPv6")
        other.listen()
        with project.manage("rungrpc", f"{host}:{project.port}", "--noreload") as server:
            assert server.wait() == 1
            assert f"port {project.port} is in use" in server.log


SLOW_HANDLERS = """
import time

def grpc_handlers(server):
    print("registering", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_handlers_are_registered_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    project = Project(tmp_path)
    project.add_app("fleet", SLOW_HANDLERS)
    with project.configure().manage("rungrpc", "--noreload") as server:
        server.until_logged("registering")
        assert server.end(number) == 0


def test_a_changed_file_restarts_the_server(project: Project) -> None:
    """Each new process calls the handlers once; a mistake is reported with its line, and correcting it is enough."""
    source = project.directory / "fleet" / "grpc_handlers.py"
    good = source.read_text()

    with project.manage("rungrpc") as server, channel(project) as opened:
        server.until_serving()
        save(source, good.replace("return request", "return request.upper()"), lambda: server.log.count("called") > 1)
        server.until_serving(2)
        wait_until(lambda: echo(opened) == b"HELLO", lambda: server.log)

        broken = good.replace("    server.add", '    raise LookupError("lost")\n    server.add')
        line = broken.split("\n").index('    raise LookupError("lost")') + 1
        save(source, broken, lambda: f"fleet: {source}:{line}: LookupError: lost" in server.log)
        served = server.log.count("Serving on ")
        save(source, good, lambda: server.log.count("Serving on ") > served)
        wait_until(lambda: echo(opened) == b"hello", lambda: server.log)
        assert server.end() == 0, server.log
        processes = re.findall(r"handlers of fleet.grpc_handlers (\d+)", server.log)
        assert len(set(processes)) == len(processes) == server.log.count("called\n")


def test_reflection_is_closed_in_production(project: Project) -> None:
    with project.manage("rungrpc", "--noreload") as server, channel(project) as opened:
        server.until_serving()
        assert {"test.Echo", "grpc.health.v1.Health"} <= listed_services(opened)
    project.configure(debug=False)
    with project.manage("rungrpc", "--noreload") as server, channel(project) as opened:
        server.until_serving()
        assert echo(opened) == b"hello"
        with pytest.raises(grpc.RpcError) as refused:
            listed_services(opened)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_health_knows_each_service(project: Project) -> None:
    with project.manage("rungrpc", "--noreload") as server, channel(project) as opened:
        server.until_serving()
        health = health_pb2_grpc.HealthStub(opened)
        for name in ("", "test.Echo"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health.Check(health_pb2.HealthCheckRequest(service="other"))
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("grpc_settings", "said"),
    [
        ({"host": "0.0.0.0"}, "whoever reaches 0.0.0.0 could pose as any agent"),  # noqa: S104 - that is refused
        ({"agent_tokens": "required"}, "settings.GRPC has no token_secret"),
        ({"tls_certificate": "/nowhere.pem", "tls_key": "/nowhere.key"}, "GRPC['tls_key']: cannot read /nowhere.key"),
        (
            {"tls_certificate": __file__, "tls_key": __file__},
            "GRPC['tls_certificate'] and GRPC['tls_key'] must be PEM files of one pair, and the key without a password",
        ),
        ({"prot": 1}, "unknown key 'prot' (did you mean 'port'?)"),
    ],
)
def test_what_cannot_work_in_production_does_not_start(
    project: Project, grpc_settings: dict[str, Any], said: str
) -> None:
    project.configure(debug=False, **grpc_settings)
    with project.manage("rungrpc", "--noreload", "--skip-checks") as server:
        assert server.wait() == 1
        assert said in server.log


def test_a_project_without_handlers_is_told_so(tmp_path: Path) -> None:
    with Project(tmp_path).configure().manage("rungrpc", "--noreload") as server:
        server.until_logged("No grpc_handlers of an installed app has added a servicer").until_serving()
        assert server.end() == 0


STUBBORN = """
import asyncio
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig, BidirectionalStreamingService,
)

async def process(client_id, message, queue):
    pass

class Hanging(BidirectionalStreamingService):
    async def drain(self, grace_seconds):
        await asyncio.Event().wait()

class Failing(BidirectionalStreamingService):
    async def drain(self, grace_seconds):
        raise LookupError("lost")

def grpc_handlers(server):
    for kind in (Hanging, Failing):
        service = kind(BidirectionalStreamingConfig(), process, bytes.decode, lambda: b"ping")
        register_streaming_service(kind.__name__, service)
"""


@pytest.mark.parametrize("options", [["--noreload"], []], ids=["noreload", "autoreload"])
def test_a_service_that_hangs_or_fails_in_draining_does_not_keep_the_server(tmp_path: Path, options: list[str]) -> None:
    project = Project(tmp_path)
    project.add_app("fleet", STUBBORN)
    with project.configure(drain_seconds=0.5).manage("rungrpc", *options) as server:
        server.until_serving()
        assert server.end() == 0, server.log
        assert "LookupError: lost" in server.log
        assert "could not be drained" in server.log


STUCK = """
import time
import grpc
from asgiref.sync import sync_to_async
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig, BidirectionalStreamingService,
)

def block():
    print("blocked", flush=True)
    time.sleep(600)

async def process(client_id, message, queue):
    await sync_to_async(block, thread_sensitive=message != b"default")()

def grpc_handlers(server):
    service = BidirectionalStreamingService(BidirectionalStreamingConfig(), process, bytes.decode, lambda: b"ping")
    register_streaming_service("fleet", service)
    handler = grpc.stream_stream_rpc_method_handler(service.handle_stream)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Fleet", {"Connect": handler})])
"""


@pytest.mark.parametrize(
    ("options", "executor"), [(["--noreload"], b"lane"), (["--noreload"], b"default"), ([], b"lane")]
)
def test_a_thread_that_never_returns_does_not_keep_the_server(
    tmp_path: Path, options: list[str], executor: bytes
) -> None:
    project = Project(tmp_path)
    project.add_app("fleet", STUCK)
    with project.configure(drain_seconds=0.1).manage("rungrpc", *options) as server, channel(project) as opened:
        server.until_serving()
        call = opened.stream_stream("/test.Fleet/Connect")(iter([executor]), timeout=BOUND_SECONDS)
        server.until_logged("blocked")
        assert server.end() == 0, server.log
        call.cancel()
        assert "has not returned" in server.log


EXAMPLE = (
    "from django_cfg.apps.integrations.grpc.services.commands.examples.server import grpc_handlers as grpc_handlers\n"
)


def test_the_example_can_be_served_by_importing_its_handlers(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add_app("fleet", EXAMPLE)
    with project.configure().manage("rungrpc", "--noreload") as server, channel(project) as opened:
        server.until_serving()
        assert "django_cfg.fleet.v1.Fleet  (" in server.log
        assert "django_cfg.fleet.v1.Fleet" in listed_services(opened)
        assert server.end() == 0, server.log
