"""The example agent's own decisions: what it refuses, what it remembers, when it comes back."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import journal as journals
from django_cfg.apps.integrations.grpc.services.commands.examples.admission import Admission
from django_cfg.apps.integrations.grpc.services.commands.examples.agent import backoff_seconds, content_of
from django_cfg.apps.integrations.grpc.services.commands.examples.bot import Bot, Refused
from django_cfg.apps.integrations.grpc.services.commands.examples.journal import Journal

HOUR = 3600.0


def message(sent_at: float = 0.0, **changes: object) -> pb2.Command:
    fields = {"command_id": "c", "agent_id": "bot-1", "epoch": 7, "sent_at_ms": round(sent_at * 1000), **changes}
    return pb2.Command(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("server_ahead", [-HOUR, 0.0, HOUR])
def test_lateness_needs_no_common_clock(server_ahead: float) -> None:
    admission, now = Admission("bot-1"), 2 * HOUR
    assert admission.late_seconds(message(now + server_ahead), now + 0.02) == 0
    assert admission.late_seconds(message(now + 1 + server_ahead), now + 1.5) == pytest.approx(0.48)
    assert admission.late_seconds(message(now + 2 + server_ahead), now + 2.01) == 0


def test_what_waited_while_the_agent_was_frozen_is_late() -> None:
    """However long that was: the fastest message from before still counts."""
    admission = Admission("bot-1")
    admission.late_seconds(message(100.0), 100.0)
    assert admission.late_seconds(message(101.0), 100.0 + HOUR) == pytest.approx(HOUR - 1)
    assert admission.late_seconds(message(102.0), 100.0 + HOUR) == pytest.approx(HOUR - 2)


def test_messages_without_a_time_or_an_epoch_teach_nothing() -> None:
    """A long time in which only such came, and then what waited while the agent was frozen."""
    admission = Admission("bot-1")
    admission.late_seconds(pb2.Command(ping=pb2.Ping()), 99.0)
    assert admission.epoch is None
    admission.late_seconds(message(100.0), 100.0)
    for second in range(110, 1000, 10):
        assert admission.late_seconds(pb2.Command(ping=pb2.Ping()), float(second)) == 0
    assert admission.late_seconds(message(1000.0), 1010.0) == pytest.approx(10)
    assert admission.epoch == 7


def test_clocks_that_drift_apart_make_nothing_late() -> None:
    admission = Admission("bot-1")
    drift = 1.0001
    late = [admission.late_seconds(message(float(second)), second * drift) for second in range(0, int(HOUR) * 5, 20)]
    assert max(late) < 0.02


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, ""),
        ({"expires_in_ms": 501}, ""),
        ({"expires_in_ms": 500}, "expired"),
        ({"agent_id": "bot-2"}, "another agent"),
        ({"epoch": 6}, "another stream"),
        ({"epoch": 8}, "another stream"),
        ({"command_id": ""}, "no id"),
    ],
)
def test_what_is_refused(changes: dict[str, object], refusal: str) -> None:
    admission = Admission("bot-1")
    admission.late_seconds(message(), 0.0)
    found = admission.refusal(message(**changes), 0.5)  # type: ignore[arg-type]
    assert (refusal in found) if refusal else not found


def test_a_journal_outlives_its_agent(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    first = Journal(path)
    assert first.begin("a")
    first.end("a", b"report")
    assert first.begin("b")
    first.close()

    second = Journal(path)
    assert not second.begin("a")
    assert not second.begin("b")
    assert (second.report("a"), second.report("b"), second.report("c")) == (b"report", None, None)
    second.close()


def test_a_journal_knows_what_was_done_under_an_id(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with contextlib.closing(sqlite3.connect(path)) as earlier:
        earlier.execute("CREATE TABLE commands (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, report BLOB)")
        earlier.execute("INSERT INTO commands (id) VALUES ('old')")
        earlier.commit()
    for _ in range(2):
        journal = Journal(path)
        journal.begin("a", b"start")
        assert journal.is_same("a", b"start")
        assert not journal.is_same("a", b"stop")
        assert journal.is_same("old", b"start"), "nobody knows"
        journal.close()


def test_the_content_of_a_command_is_the_same_when_it_is_sent_again() -> None:
    first = message(1.0, expires_in_ms=5, start=pb2.Start(reason="r"))
    again = message(2.0, expires_in_ms=9, epoch=8, start=pb2.Start(reason="r"))
    assert content_of(first) == content_of(again)
    assert content_of(first) != content_of(message(1.0, stop=pb2.Stop(reason="r")))


def test_a_journal_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEPT", 3)
    journal = Journal()
    for command_id in "abcde":
        assert journal.begin(command_id)
    assert [journal.begin(command_id) for command_id in "cde"] == [False] * 3
    assert journal.begin("a")
    journal.close()


def test_coming_back_is_spread_and_bounded() -> None:
    many = [backoff_seconds(4) for _ in range(200)]
    assert 0 <= min(many) < 1 < 3 < max(many) <= 4
    assert max(backoff_seconds(10_000) for _ in range(200)) <= 60


async def test_a_bot_refuses_what_it_cannot_do() -> None:
    bot = Bot()
    before = pb2.AgentConfig.FromString(bot.config.SerializeToString())
    for command in (
        pb2.Command(),
        pb2.Command(config_update=pb2.ConfigUpdate(changes=pb2.AgentConfig(batch_size=1, log_level="LOUD"))),
        pb2.Command(config_update=pb2.ConfigUpdate(changes=pb2.AgentConfig(batch_size=1, interval_seconds=0))),
        pb2.Command(config_update=pb2.ConfigUpdate(changes=pb2.AgentConfig(interval_seconds=float("nan")))),
        pb2.Command(config_update=pb2.ConfigUpdate(changes=pb2.AgentConfig(interval_seconds=float("inf")))),
    ):
        with pytest.raises(Refused):
            await bot.execute(command)
    assert bot.config == before
    assert "already" in await bot.execute(pb2.Command(stop=pb2.Stop()))
