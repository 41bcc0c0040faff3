"""Transcripts of streams in a time that the tests invent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig, PingStrategy
from django_cfg.apps.integrations.grpc.services.streaming.session import NEVER, Due, Ending, Session


def config(**given: object) -> BidirectionalStreamingConfig:
    return BidirectionalStreamingConfig.model_validate({"ping_interval": 5.0, "ping_timeout": 12.0, **given})


def transcript(session: Session, until: float, heard: tuple[float, ...] = ()) -> list[tuple[float, str]]:
    """When something was due, asked exactly when the session wanted to be asked."""
    seen: list[tuple[float, str]] = []
    left = list(heard)
    while (at := session.next_due_at) <= until:
        while left and left[0] <= at:
            session.heard(left.pop(0))
        at = max(at, session.heard_at)
        due = session.due(at)
        if isinstance(due, Ending):
            return [*seen, (at, due.status)]
        if due is Due.PING:
            seen.append((at, "ping"))
    return seen


def test_pings_at_every_interval_until_silence_has_lasted_too_long() -> None:
    assert transcript(Session(config(), 0.0), 100.0) == [
        (5.0, "ping"),
        (10.0, "ping"),
        (15.0, "ping"),
        (17.0, "DEADLINE_EXCEEDED"),
    ]


def test_whatever_is_heard_is_a_sign_of_life() -> None:
    pings = [(float(at), "ping") for at in range(5, 31, 5)]

    assert transcript(Session(config(), 0.0), 30.0, heard=(7.0, 16.0, 25.0)) == pings


def test_silence_counts_from_the_first_ping_that_was_not_answered() -> None:
    assert transcript(Session(config(), 0.0), 100.0, heard=(6.0,))[-1] == (22.0, "DEADLINE_EXCEEDED")


def test_a_ping_that_was_not_made_starts_no_silence() -> None:
    session = Session(config(), 0.0)
    assert session.due(5.0) is Due.PING
    session.not_pinged(5.0)
    assert session.due(10.0) is Due.PING
    assert session.due(15.0) is Due.PING
    session.not_pinged(15.0)
    assert session.due(20.0) is Due.PING
    assert isinstance(session.due(22.0), Ending), "that of 10.0 was made"


def test_on_idle_waits_for_an_interval_in_which_nothing_was_sent() -> None:
    session = Session(config(ping_strategy=PingStrategy.ON_IDLE), 0.0)
    session.sent_at = 3.0

    assert session.due(5.0) is Due.NOTHING
    assert session.next_due_at == 8.0
    assert session.due(8.0) is Due.PING


def test_an_interval_of_pings_does_not_care_what_was_sent() -> None:
    session = Session(config(), 0.0)
    session.sent_at = 4.9

    assert session.due(5.0) is Due.PING


def test_without_pings_nothing_is_ever_due() -> None:
    assert Session(config(ping_strategy=PingStrategy.DISABLED), 0.0).next_due_at == NEVER


def test_a_stream_has_its_longest_life() -> None:
    session = Session(config(ping_strategy=PingStrategy.DISABLED, connection_timeout=60.0), 1.0)
    ending = session.due(session.next_due_at)

    assert session.next_due_at == 61.0
    assert isinstance(ending, Ending)
    assert (ending.status, "60 s" in ending.sentence) == ("UNAVAILABLE", True)


def test_a_server_that_was_too_busy_to_ask_gives_the_agent_time_to_be_heard() -> None:
    session = Session(config(), 0.0)
    session.due(5.0)
    late = 80.0

    assert session.due(late) is Due.PING
    assert session.next_due_at == late + 1.0
    assert isinstance(session.due(late + 1.0), Ending)


def test_missed_pings_are_not_made_up_for() -> None:
    session = Session(config(), 0.0)

    assert session.due(21.0) is Due.PING
    assert session.next_due_at == 26.0


@pytest.mark.parametrize("most", [1, 3])
def test_one_failure_more_than_is_tolerated_ends_the_stream(most: int) -> None:
    session = Session(config(max_consecutive_errors=most), 0.0)
    for _ in range(most):
        assert session.failed() is None
    session.succeeded()
    for _ in range(most):
        assert session.failed() is None
    ending = session.failed()

    assert ending is not None
    assert ending.status == "INTERNAL"


def test_none_is_too_many_where_all_are_tolerated() -> None:
    session = Session(config(max_consecutive_errors=0), 0.0)

    assert [session.failed() for _ in range(1000)] == [None] * 1000


@given(
    st.lists(st.floats(0.01, 20.0), max_size=40),
    st.sampled_from([PingStrategy.INTERVAL, PingStrategy.ON_IDLE]),
)
def test_an_agent_heard_within_the_timeout_after_each_ping_is_never_ended(
    gaps: list[float], strategy: PingStrategy
) -> None:
    session = Session(config(ping_strategy=strategy), 0.0)
    now = 0.0
    for gap in gaps:
        until = now + gap
        while (at := session.next_due_at) <= until:
            if session.due(at) is Due.PING:
                session.heard(at + 0.001)
            assert session.next_due_at > at
        now = until


@given(st.lists(st.sampled_from(["hear", "send", "wait", "stall"]), max_size=60))
def test_it_always_asks_to_be_asked_later_than_now(steps: list[str]) -> None:
    session = Session(config(), 0.0)
    now = 0.0
    for step in steps:
        if step == "hear":
            session.heard(now)
        elif step == "send":
            session.sent_at = now
        else:
            now = session.next_due_at + (50.0 if step == "stall" else 0.0)
            if isinstance(session.due(now), Ending):
                return
            assert session.next_due_at > now
