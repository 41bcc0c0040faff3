"""Each fault alone, over real processes and sockets: what becomes of a command, and how soon its caller learns it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import psycopg
import pytest

from django_cfg.apps.integrations.grpc.agents_view import list_agents
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.config import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome, CommandResult
from tests.faults.ledger import read_all
from tests.faults.proxy import proxied
from tests.grpc.chaos.ledger import Run
from tests.grpc.chaos.nemesis import SOON, Post, Site
from tests.grpc.chaos.storm import storm
from tests.grpc.fleet import Fleet
from tests.grpc.project import Project, wait_until
from tests.redis.postgres.server import postgres

TIMEOUT_SECONDS = 60.0
"""Of commands: far beyond all bounds, so that no caller learns from its own clock what a fault should tell it."""
SLACK_SECONDS = 6.0
"""For a machine that has other things to do."""
AT_ONCE = SLACK_SECONDS
QUEUE_SECONDS = 3.0
SILENCE = 2.0 + SLACK_SECONDS
"""Pings after 0.5 s with 1.5 s to answer, or keepalive after 1 s with 1 s to answer."""
CONNECTING = 3.0 + SLACK_SECONDS

DETECTION: dict[str, dict[str, Any]] = {
    "pings": {"streaming": SOON},
    "keepalive": {"streaming": {"ping_strategy": "disabled"}, "keepalive_seconds": 1, "keepalive_timeout_seconds": 1},
}


@contextmanager
def open_site(directory: Path, agents: int, **options: Any) -> Iterator[Site]:
    site = Site(directory, agents, **options)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module", params=DETECTION)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two agents, whose silence is noticed by pings of the service or by keepalive of the connection."""
    with open_site(tmp_path_factory.mktemp(request.param), 2, **DETECTION[request.param]) as opened:
        yield opened


def client(site: Site, agent_id: str = "bot-0") -> FleetCommandClient:
    config = CommandClientConfig(connect_timeout=3.0, grpc_host="127.0.0.1", grpc_port=site.project.port)
    return FleetCommandClient(agent_id, config=config)


def start(seconds: float = 0.0, *, padding: int = 0) -> pb2.Command:
    return pb2.Command(command_id=new_command_id(), start=pb2.Start(reason=f"{seconds:f}{'0' * padding}"))


@dataclass
class InMidCommand:
    """A command that its agent has begun with, and that would take longer than its caller waits."""

    site: Site

    def __post_init__(self) -> None:
        self.command = start(2 * TIMEOUT_SECONDS)
        self._pool = ThreadPoolExecutor(1)
        self._waiting = self._pool.submit(client(self.site).execute_command_sync, self.command, TIMEOUT_SECONDS)
        wait_until(lambda: any(run.command == self.command.command_id for run in read_all(self.site.ledger, Run)))

    def result_within(self, seconds: float) -> CommandResult[Any]:
        try:
            return self._waiting.result(seconds)
        finally:
            self._pool.shutdown(wait=False)


def freeze(post: Post) -> None:
    post.agents[0].send(signal.SIGSTOP)


def thaw(post: Post) -> None:
    post.agents[0].send(signal.SIGCONT)


@dataclass(frozen=True)
class Fault:
    strike: Callable[[Post], object]
    heal: Callable[[Post], object]
    bound_seconds: float
    absent: bool
    """Whether the agent is away until it heals."""


FAULTS = {
    "agent killed": Fault(Post.kill, Post.add, AT_ONCE, True),
    "agent frozen": Fault(freeze, thaw, SILENCE, True),
    "agent replaced": Fault(Post.add, Post.settle, AT_ONCE, False),
    "link reset": Fault(lambda post: post.link.reset(), lambda post: None, AT_ONCE, False),
    "link dead": Fault(lambda post: post.link.hold(), lambda post: post.link.release(), SILENCE, True),
    "link dead towards the server": Fault(
        lambda post: post.link.up.hold(), lambda post: post.link.up.release(), SILENCE, True
    ),
    "link dead towards the agent": Fault(
        lambda post: post.link.down.hold(), lambda post: post.link.down.release(), SILENCE, True
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_in_mid_command(site: Site, fault: Fault) -> None:
    """The outcome is unknown and the caller learns it; nobody is shown who is away; the agent comes back anew."""
    post, epoch = site.posts[0], site.connected()["bot-0"]
    under_way = InMidCommand(site)
    fault.strike(post)
    try:
        result = under_way.result_within(fault.bound_seconds)
        assert (result.outcome, result.may_have_run) == (CommandOutcome.OUTCOME_UNKNOWN, True)
        if fault.absent:
            assert "bot-0" not in site.connected()
            absent = client(site).execute_command_sync(start())
            assert (absent.outcome, absent.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert client(site, "bot-1").execute_command_sync(start()).ok, "other agents notice nothing"
    finally:
        fault.heal(post)
        restart(post, under_way)

    wait_until(lambda: site.connected().get("bot-0", 0) > epoch)
    assert client(site).execute_command_sync(start(), 20.0).ok


def restart(post: Post, under_way: InMidCommand) -> None:
    """An agent that still runs the endless command would do nothing else."""
    post.kill()
    post.add()


def test_server_killed(tmp_path: Path) -> None:
    with open_site(tmp_path, 3) as site:
        epochs = site.connected()
        under_way = InMidCommand(site)
        site.server.end(signal.SIGKILL)
        result = under_way.result_within(AT_ONCE)
        assert (result.outcome, result.may_have_run) == (CommandOutcome.OUTCOME_UNKNOWN, True)

        started = time.monotonic()
        unreached = client(site, "bot-1").execute_command_sync(start(), TIMEOUT_SECONDS)
        assert (unreached.outcome, unreached.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert "nothing was sent" in unreached.detail
        assert time.monotonic() - started < CONNECTING

        site.server = site.start_server()
        wait_until(lambda: site.connected().keys() == epochs.keys())
        assert min(site.connected().values()) > max(epochs.values()), "epochs grow over restarts of the server"
        assert client(site, "bot-1").execute_command_sync(start()).ok
        again = client(site).execute_command_sync(under_way.command, 1.0)
        assert not again.ok, "the agent still runs it"
    runs = [run for run in read_all(site.ledger, Run) if run.command == under_way.command.command_id]
    assert len(runs) == 1


def test_three_hundred_agents_come_back_at_once(tmp_path: Path) -> None:
    """`make chaos` does it with 2,000."""
    found = storm(tmp_path, agents=300)

    assert found.kept, str(found)


def test_a_server_that_answers_late_is_reached_all_the_same(tmp_path: Path) -> None:
    """By the first attempt: one that was given up too soon would only add to what keeps the server busy."""
    fleet = Fleet(tmp_path)
    with fleet.serving(), proxied(fleet.port) as link:
        link.down.latency_seconds = 1.0

        assert list_agents(GRPCConfig(), f"127.0.0.1:{link.port}", TIMEOUT_SECONDS) == []


def test_a_slow_agent_delays_no_other(tmp_path: Path) -> None:
    """It reads 1 kB/s. Its queue is bounded, whoever finds it full learns that nothing was sent."""
    with open_site(tmp_path, 3, streaming={"max_queue_size": 20, "queue_timeout": QUEUE_SECONDS}) as site:
        slow = site.posts[0].link.down
        slow.bytes_per_second, slow.slice_bytes = 1000, 100
        big = start(padding=200_000)
        wait_until(lambda: not client(site).send_command_sync(big), seconds=60)

        refused = client(site).execute_command_sync(start(), TIMEOUT_SECONDS)
        assert (refused.outcome, refused.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert "full" in refused.detail
        assert refused.elapsed_seconds < QUEUE_SECONDS + SLACK_SECONDS
        others = [client(site, agent_id).execute_command_sync(start()) for agent_id in ("bot-1", "bot-2") * 50]
        assert all(result.ok for result in others)
        longest = max(result.elapsed_seconds for result in others)
        assert longest < QUEUE_SECONDS, "less than anybody waits for the slow one"


def test_an_agent_whose_journal_is_gone_ends(tmp_path: Path) -> None:
    """It could not promise to run each command once; were it to stay, callers would wait for nothing."""
    with open_site(tmp_path, 1) as site:
        assert client(site).execute_command_sync(start()).ok
        with contextlib.closing(sqlite3.connect(site.project.directory / "journal-bot-0")) as journal:
            journal.execute("DROP TABLE commands")
        result = client(site).execute_command_sync(start(), TIMEOUT_SECONDS)

        assert result.outcome is CommandOutcome.OUTCOME_UNKNOWN
        assert result.elapsed_seconds < AT_ONCE
        wait_until(lambda: not site.posts[0].alive())


DATABASE_HANDLERS = """
import grpc
from asgiref.sync import sync_to_async
from django.db import connection
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig, BidirectionalStreamingService,
)

def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return str(cursor.fetchone()[0]).encode()

async def process(client_id, message, queue):
    await queue.put(await sync_to_async(backend)())

service = BidirectionalStreamingService(
    BidirectionalStreamingConfig(ping_strategy="disabled"), process, lambda message: "bot-1", lambda: b"ping",
)

def grpc_handlers(server):
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Fleet", {
        "Connect": grpc.stream_stream_rpc_method_handler(service.handle_stream),
    })])
"""
DATABASES = """
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1",
    "PORT": {port}, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True,
}}}}
"""


def test_database_connections_dropped_between_messages(tmp_path: Path) -> None:
    """Ended by the database, or reset on the way: each further message of the same stream gets a fresh one."""
    project = Project(tmp_path)
    project.add_app("fleet", DATABASE_HANDLERS)
    project.configure()
    with postgres() as port, proxied(port) as link:
        with (tmp_path / "site_settings.py").open("a") as settings:
            settings.write(DATABASES.format(port=link.port))
        with project.manage("rungrpc", "--noreload") as server, grpc.insecure_channel(project.address) as channel:
            server.until_serving()
            messages: SimpleQueue[bytes | None] = SimpleQueue()
            call: Any = channel.stream_stream("/test.Fleet/Connect")
            answers = call(iter(messages.get, None), timeout=TIMEOUT_SECONDS)

            def ask() -> set[bytes]:
                """The database's processes that a few messages have used."""
                found: set[bytes] = set()
                for _ in range(5):
                    messages.put(b"?")
                    found.add(next(answers))
                return found

            first = ask()
            terminate_others(port)
            second = ask()
            link.reset()
            third = ask()
            messages.put(None)
            assert not first & second
            assert not second & third


def terminate_others(port: int) -> None:
    with psycopg.connect(host="127.0.0.1", user="postgres", port=port, autocommit=True) as database:
        ended = database.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
        assert ended
