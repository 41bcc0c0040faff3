"""The example's server and agent, as processes: what became of each command is what the caller hears."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples.client import CommandClient, batch_start, batch_stop
from django_cfg.apps.integrations.grpc.services.commands.examples.config import batch_update_config, update_config
from django_cfg.apps.integrations.grpc.services.commands.examples.start import start_client
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome
from django_cfg.apps.integrations.grpc.tokens import create_agent_token
from tests.grpc.certificates import Authority
from tests.grpc.fleet import Fleet
from tests.grpc.project import Process, wait_until


@pytest.fixture
def fleet(tmp_path: Path, settings: Any) -> Fleet:
    fleet = Fleet(tmp_path)
    settings.GRPC = {"port": fleet.port}
    return fleet


@pytest.fixture
def server(fleet: Fleet) -> Iterator[Process]:
    with fleet.serving() as process:
        yield process


def greeted(agent: Process, times: int = 1) -> Process:
    return agent.until_logged("connected", times)


def executed(agent: Process, command: str) -> int:
    return len(re.findall(rf": {command} \w", agent.log))


@dataclass
class Row:
    """As far as the commands are concerned, a row of the database."""

    status: str = "unknown"
    config: dict[str, Any] = field(default_factory=dict)
    saved: list[list[str]] = field(default_factory=list)

    async def asave(self, *, update_fields: list[str]) -> None:
        self.saved.append(update_fields)


async def test_start_stop_config_restart(fleet: Fleet, server: Process) -> None:
    with fleet.agent("bot-1") as agent:
        greeted(agent)
        row = Row()
        bot = CommandClient("bot-1", model=row)

        started = await bot.start(reason="morning")
        assert (started.outcome, row.status, row.saved) == (CommandOutcome.COMPLETED, "running", [["status"]])
        assert started.message is not None
        assert started.message.report.state == pb2.RUNNING

        changed = await bot.update_config({"batch_size": 25})
        assert changed.ok
        assert changed.message is not None
        config = changed.message.report.config
        assert (config.batch_size, config.interval_seconds, config.log_level) == (25, 60.0, "INFO")
        assert row.config == {"batch_size": 25}

        assert (await bot.restart(grace_seconds=0.01)).ok
        assert row.status == "running"
        assert [executed(agent, name) for name in ("start", "stop")] == [2, 1]

        assert (await bot.stop()).ok
        assert row.status == "stopped"


async def test_a_row_changes_only_after_the_agents_word(fleet: Fleet, server: Process) -> None:
    with fleet.agent("bot-1") as agent:
        greeted(agent)
        row = Row(config={"log_level": "INFO"})
        bot = CommandClient("bot-1", model=row)

        refused = await bot.update_config({"log_level": "LOUD"})
        absent = await CommandClient("bot-2", model=row).start()

        assert (refused.outcome, refused.detail) == (
            CommandOutcome.REJECTED,
            "log_level must be one of DEBUG, INFO, WARNING, ERROR",
        )
        assert (absent.outcome, absent.may_have_run) == (CommandOutcome.NOT_CONNECTED, False)
        assert row == Row(config={"log_level": "INFO"})
        assert not absent


async def test_batches_run_at_the_same_time(fleet: Fleet, server: Process) -> None:
    """The slower bot is told at once as well: were they told in turn, the first start would use up the time."""
    ids = ["bot-1", "bot-2", "bot-3"]
    with fleet.agent("bot-1", "--start-seconds", "1") as one, fleet.agent("bot-2", "--start-seconds", "1") as two:
        greeted(one), greeted(two)
        rows = {agent_id: Row() for agent_id in ids}
        bots = [CommandClient(agent_id, model=rows[agent_id]) for agent_id in ids]

        started = await batch_start(bots)
        changed = await batch_update_config([bot.client for bot in bots], {"log_level": "ERROR"}, models=rows)
        stopped = await batch_stop(bots)

        expected = {
            "bot-1": CommandOutcome.COMPLETED,
            "bot-2": CommandOutcome.COMPLETED,
            "bot-3": CommandOutcome.NOT_CONNECTED,
        }
        for results in (started, changed, stopped):
            assert {agent_id: result.outcome for agent_id, result in results.items()} == expected
        assert started["bot-1"].elapsed_seconds + started["bot-2"].elapsed_seconds > 1.9
        assert [rows[agent_id].status for agent_id in ids] == ["stopped", "stopped", "unknown"]
        assert [rows[agent_id].config for agent_id in ids] == [{"log_level": "ERROR"}, {"log_level": "ERROR"}, {}]


async def test_an_agent_killed_in_mid_command(fleet: Fleet, server: Process) -> None:
    """The caller hears at once that nobody knows the outcome, long before its deadline."""
    with fleet.agent("bot-1", "--start-seconds", "30") as agent:
        greeted(agent)
        row = Row()
        starting = asyncio.create_task(start_client(FleetCommandClient("bot-1"), model=row, timeout=25))
        await asyncio.to_thread(agent.until_logged, ": start ")
        agent.send(signal.SIGKILL)

        result = await starting

        assert (result.outcome, result.may_have_run) == (CommandOutcome.OUTCOME_UNKNOWN, True)
        assert result.elapsed_seconds < 20
        assert row.saved == []


async def test_a_repeated_command_runs_once(fleet: Fleet, server: Process, tmp_path: Path) -> None:
    """Over a restart of the agent too, and one that ended with the agent is not begun again."""
    journal = ("--journal", str(tmp_path / "journal"))
    client = FleetCommandClient("bot-1")
    with fleet.agent("bot-1", *journal) as agent:
        greeted(agent)
        first = await start_client(client, command_id="order-1")
        again = await start_client(client, command_id="order-1")
        assert (first.outcome, again.outcome) == (CommandOutcome.COMPLETED, CommandOutcome.COMPLETED)
        assert executed(agent, "start") == 1
    with fleet.agent("bot-1", *journal, "--start-seconds", "30") as agent:
        greeted(agent)
        assert (await start_client(client, command_id="order-1")).ok
        assert executed(agent, "start") == 0
        assert not await start_client(client, command_id="order-2", timeout=0.2)
        agent.until_logged(": start ")
        agent.send(signal.SIGKILL)
    with fleet.agent("bot-1", *journal) as agent:
        greeted(agent)
        lost = await start_client(client, command_id="order-2")
        assert (lost.outcome, lost.may_have_run) == (CommandOutcome.REJECTED, True)
        assert executed(agent, "start") == 0


async def test_an_expired_command_is_refused(fleet: Fleet, server: Process) -> None:
    """It lies in a socket's buffer while the agent is frozen, and is there when it wakes up."""
    with fleet.agent("bot-1") as agent:
        greeted(agent)
        assert await start_client(FleetCommandClient("bot-1"))
        agent.send(signal.SIGSTOP)
        late = await CommandClient("bot-1").stop(timeout=0.5)
        await CommandClient("bot-1").update_config({"batch_size": 1}, timeout=0.5)  # by now the first is long expired
        agent.send(signal.SIGCONT)

        assert (late.outcome, late.may_have_run) == (CommandOutcome.TIMED_OUT, True)
        agent.until_logged("the command has expired")
        assert executed(agent, "stop") == 0


async def test_a_drained_server_and_its_agent_come_together_again(fleet: Fleet) -> None:
    with fleet.serving() as server, fleet.agent("bot-1") as agent:
        greeted(agent)
        assert server.end() == 0
        agent.until_logged("asks to come back")
        with fleet.serving():
            greeted(agent, 2)
            assert await start_client(FleetCommandClient("bot-1"))


async def test_a_second_agent_of_that_id_takes_over(fleet: Fleet, server: Process) -> None:
    with fleet.agent("bot-1") as older:
        greeted(older)
        with fleet.agent("bot-1") as newer:
            greeted(newer)
            wait_until(lambda: "the server does not want this agent" in older.log, lambda: older.log)
            assert await start_client(FleetCommandClient("bot-1"))
            assert (executed(older, "start"), executed(newer, "start")) == (0, 1)


class Dictating(pb2_grpc.FleetServicer):
    """A server that says what a test tells it to say, to one agent."""

    def __init__(self) -> None:
        self.commands: asyncio.Queue[pb2.Command] = asyncio.Queue()
        self.heard: asyncio.Queue[pb2.AgentMessage] = asyncio.Queue()

    async def Connect(self, request_iterator: Any, context: Any) -> AsyncIterator[pb2.Command]:  # noqa: N802
        reader = asyncio.create_task(self._read(request_iterator))
        try:
            while True:
                yield await self.commands.get()
        finally:
            reader.cancel()

    async def _read(self, messages: AsyncIterator[pb2.AgentMessage]) -> None:
        async for message in messages:
            await self.heard.put(message)

    async def report_of(self, command_id: str) -> pb2.Report:
        async with asyncio.timeout(20):
            while True:
                report = (await self.heard.get()).report
                if report.command_id == command_id and report.stage != pb2.Report.ACKNOWLEDGED:
                    return report


@asynccontextmanager
async def dictating() -> AsyncIterator[tuple[Dictating, str]]:
    server, servicer = grpc.aio.server(), Dictating()
    pb2_grpc.add_FleetServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_commands_for_other_streams_are_refused(fleet: Fleet) -> None:
    """Each is right but for one thing."""
    async with dictating() as (servicer, address):
        with fleet.agent("bot-1", address=address) as agent:
            servicer.commands.put_nowait(pb2.Command(agent_id="bot-1", epoch=5, sent_at_ms=1_000, ping=pb2.Ping()))
            right: dict[str, Any] = {"agent_id": "bot-1", "epoch": 5, "sent_at_ms": 1_000, "start": pb2.Start()}
            wrong = {
                "older": {"epoch": 4},
                "newer": {"epoch": 6},
                "other": {"agent_id": "bot-2"},
                "late": {"sent_at_ms": 1, "expires_in_ms": 900},
            }
            for command_id, changes in wrong.items():
                servicer.commands.put_nowait(pb2.Command(command_id=command_id, **{**right, **changes}))
                report = await servicer.report_of(command_id)
                assert report.stage == pb2.Report.REJECTED, command_id
            servicer.commands.put_nowait(pb2.Command(command_id="right", **right))
            assert (await servicer.report_of("right")).stage == pb2.Report.COMPLETED
            assert executed(agent, "start") == 1


@pytest.mark.parametrize("changes", [{"speed": 1}, {}], ids=["unknown", "empty"])
async def test_changes_that_no_bot_could_take_are_not_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"AgentConfig|speed"):
        await update_config(FleetCommandClient("bot-1"), changes)


async def test_tokens(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent shows its own, Django makes one for each call; an agent with another's token gives up."""
    required = {"agent_tokens": "required", "token_secret": "s" * 32}
    fleet = Fleet(tmp_path, **required)
    settings.GRPC = {"port": fleet.port, **required}
    with fleet.serving():
        monkeypatch.setenv("FLEET_TOKEN", create_agent_token("bot-1"))
        with fleet.agent("bot-1") as agent, fleet.agent("bot-2") as thief:
            greeted(agent)
            assert await start_client(FleetCommandClient("bot-1"))
            assert thief.wait() == 1
            assert "PERMISSION_DENIED" in thief.log


async def test_mutual_tls(tmp_path: Path, settings: Any) -> None:
    """Of agent and Django with the server; none of them has a token."""
    authority = Authority(tmp_path / "certificates")
    server, service, bot = authority.issue("localhost"), authority.issue("django"), authority.issue("bot-1")
    ours = {"client_certificate": str(service.certificate), "client_key": str(service.key)}
    fleet = Fleet(
        tmp_path,
        tls_certificate=str(server.certificate),
        tls_key=str(server.key),
        client_ca=str(authority.path),
        service_sans=["django"],
    )
    settings.GRPC = {"port": fleet.port, "server_ca": str(authority.path), **ours}
    own = ("--ca", str(authority.path), "--certificate", str(bot.certificate), "--key", str(bot.key))
    with fleet.serving(), fleet.agent("bot-1", *own, address=f"localhost:{fleet.port}") as agent:
        greeted(agent)
        assert await start_client(FleetCommandClient("bot-1"))
        assert FleetCommandClient("bot-1").execute_command_sync(pb2.Command(command_id="last", stop=pb2.Stop()))
