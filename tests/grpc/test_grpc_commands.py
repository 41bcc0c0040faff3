"""The other commands, and what probes and Prometheus are told; over real sockets."""

from __future__ import annotations

import io
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from django.core.management import BaseCommand, CommandError, call_command
from django.core.management.base import OutputWrapper

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.identity import Caller, Credentials, Role, identify
from django_cfg.apps.integrations.grpc.management.commands import grpc_agents, grpc_token
from django_cfg.apps.integrations.grpc.tokens import create_agent_token
from tests.grpc.project import BOUND_SECONDS, Project, free_port, wait_until

SECRET = "a-secret-for-tests-of-more-than-32-characters"
KEY = "an-api-key-for-tests-of-32-characters-or-more"

HANDLERS = """
import asyncio
import grpc
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig, BidirectionalStreamingService, CommandOutcome, CommandReport, PingStrategy,
)

async def process(client_id, message, queue):
    pass

def outcome_of(message):
    kind, _, rest = message.partition(b" ")
    return CommandReport(rest.decode(), CommandOutcome.COMPLETED) if kind == b"done" else None

service = BidirectionalStreamingService(
    BidirectionalStreamingConfig(ping_strategy=PingStrategy.DISABLED), process, bytes.decode, lambda: b"ping",
    command_id_of=bytes.decode, outcome_of=outcome_of, drain_message_creator=lambda seconds: b"drain",
)

async def execute(request, context):
    agent_id, _, command = request.partition(b" ")
    return str((await service.execute_command(agent_id.decode(), command, 5)).outcome).encode()

def grpc_handlers(server):
    register_streaming_service("fleet", service)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Fleet", {
        "Connect": grpc.stream_stream_rpc_method_handler(service.handle_stream),
        "Execute": grpc.unary_unary_rpc_method_handler(execute),
    })])
"""


SETTINGS = {"agent_tokens": "required", "service_api_keys": [KEY], "token_secret": SECRET, "drain_seconds": 3}


@pytest.fixture
def project(tmp_path: Path, settings: Any) -> Project:
    """The commands that only ask run in this process, with the same settings."""
    project = Project(tmp_path)
    project.add_app("fleet", HANDLERS)
    settings.GRPC = {"port": project.port, **SETTINGS}
    return project.configure(**SETTINGS)


class Agent:
    """Completes every command."""

    def __init__(self, channel: grpc.Channel, agent_id: str, credential: str) -> None:
        self._messages: SimpleQueue[bytes | None] = SimpleQueue()
        self._messages.put(agent_id.encode())
        call: Any = channel.stream_stream("/test.Fleet/Connect")
        metadata = (("authorization", f"Bearer {credential}"),)
        self._answers = call(iter(self._messages.get, None), metadata=metadata)

    def obey(self) -> bytes:
        command: bytes = next(self._answers)
        self._messages.put(b"done " + command)
        return command

    def leave(self) -> None:
        self._messages.put(None)

    def wait_for_end(self) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as ended:
            for _ in self._answers:
                pass
        code: grpc.StatusCode = ended.value.code()
        return code


@contextmanager
def connected(project: Project) -> Iterator[Agent]:
    with grpc.insecure_channel(project.address) as channel:
        agent = Agent(channel, "bot-1", create_agent_token("bot-1"))
        yield agent
        agent.leave()


def output(command: BaseCommand, *arguments: str) -> str:
    command.stdout = OutputWrapper(out := io.StringIO())
    call_command(command, *arguments)
    return out.getvalue()


def agents() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output(grpc_agents.Command(), "--json"))
    return found


def test_grpc_agents_shows_who_is_connected(project: Project) -> None:
    with project.manage("rungrpc", "--noreload") as server:
        server.until_serving()
        assert output(grpc_agents.Command()) == "no agents are connected\n"
        with connected(project):
            wait_until(agents)
            (agent,) = agents()
            assert (agent["agent_id"], agent["service"], agent["queue_depth"]) == ("bot-1", "fleet", 0)
            assert agent["epoch"] > 0
            assert agent["connected_at"].endswith("+00:00")
            assert agent["last_ack_at"] is None
            head, row = output(grpc_agents.Command(), project.address).splitlines()
            assert head.split()[:3] == ["agent", "service", "since"]
            assert row.split()[:3] == ["bot-1", "fleet", agent["connected_at"]]


def test_grpc_agents_shows_more_than_fits_into_one_message(project: Project, settings: Any) -> None:
    """The limit is there against what agents send."""
    small = {**SETTINGS, "max_message_bytes": 1024}
    settings.GRPC = {"port": project.port, **small}
    with project.configure(**small).manage("rungrpc", "--noreload") as server:
        server.until_serving()
        with grpc.insecure_channel(project.address) as channel:
            ids = [f"bot-{number}" for number in range(10)]
            fleet = [Agent(channel, one, create_agent_token(one)) for one in ids]
            wait_until(lambda: len(agents()) == len(ids))
            assert len(json.dumps(agents())) > small["max_message_bytes"]
            for agent in fleet:
                agent.leave()


def test_grpc_agents_says_why_it_cannot_show_them(project: Project) -> None:
    with project.manage("grpc_agents", "--timeout", "5") as command:
        assert command.wait() == 1
        assert f"CommandError: localhost:{project.port}: UNAVAILABLE" in command.log


def test_grpc_token_prints_a_token_of_that_role_or_says_why_not(project: Project) -> None:
    for options, role in (([], Role.AGENT), (["--service"], Role.SERVICE)):
        token = output(grpc_token.Command(), "bot-1", *options).strip()
        found = identify(Credentials(bearer_token=token), GRPCConfig(token_secret=SECRET), time.time())
        assert found == Caller(role, "bot-1")
    for arguments, said in (
        (["x" * 201], "cannot be an id"),
        (["bot-1", "--ttl=0"], "ttl_seconds must be positive"),
        (["bot-1", f"--ttl={10**18}"], "ten years"),
    ):
        with pytest.raises(CommandError, match=said):
            output(grpc_token.Command(), *arguments)


def fetched(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=BOUND_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_probes_and_prometheus_are_told(project: Project) -> None:
    health = f"127.0.0.1:{free_port()}"
    with project.manage("rungrpc", "--noreload", "--health-addr", health) as server:
        server.until_serving()
        assert fetched(health, "/livez") == (200, "ok\n")
        assert fetched(health, "/readyz") == (200, "ok\n")
        with connected(project) as agent, grpc.insecure_channel(project.address) as channel:
            wait_until(lambda: 'django_cfg_grpc_agents{service="fleet"} 1.0' in fetched(health, "/metrics")[1])
            execute: Any = channel.unary_unary("/test.Fleet/Execute")
            pending = execute.future(b"bot-1 c1", metadata=(("x-api-key", KEY),), timeout=BOUND_SECONDS)
            assert agent.obey() == b"c1"
            assert pending.result() == b"completed"
            with pytest.raises(grpc.RpcError):
                execute(b"", metadata=(("x-api-key", "x" * 40),))
            shown = fetched(health, "/metrics")[1]
            assert 'django_cfg_grpc_commands_total{outcome="completed"} 1.0' in shown
            assert 'django_cfg_grpc_command_duration_seconds_count{outcome="completed"} 1.0' in shown
            assert 'django_cfg_grpc_refused_calls_total{status="UNAUTHENTICATED"} 1.0' in shown
            assert "django_cfg_grpc_event_loop_lag_seconds" in shown
            assert 'django_cfg_grpc_queue_depth{service="fleet"} 0.0' in shown
            agent.leave()
            ended = 'django_cfg_grpc_disconnects_total{reason="OK",service="fleet"} 1.0'
            wait_until(lambda: ended in fetched(health, "/metrics")[1], lambda: fetched(health, "/metrics")[1])


def test_agents_are_told_to_leave_and_the_server_is_not_ready_meanwhile(project: Project) -> None:
    health = f"127.0.0.1:{free_port()}"
    with project.manage("rungrpc", "--noreload", "--health-addr", health) as server:
        server.until_serving()
        with connected(project) as agent, grpc.insecure_channel(project.address) as channel:
            wait_until(agents)
            execute: Any = channel.unary_unary("/test.Fleet/Execute")
            pending = execute.future(b"bot-1 c1", metadata=(("x-api-key", KEY),), timeout=BOUND_SECONDS)
            wait_until(lambda: agents()[0]["pending_commands"] == 1)
            server.send(signal.SIGTERM)
            wait_until(lambda: fetched(health, "/readyz") == (503, "the server is draining\n"))
            assert fetched(health, "/livez")[0] == 200
            assert {agent.obey(), agent.obey()} == {b"c1", b"drain"}
            assert pending.result() == b"completed"
            assert agent.wait_for_end() is grpc.StatusCode.UNAVAILABLE
            assert server.wait() == 0, server.log
