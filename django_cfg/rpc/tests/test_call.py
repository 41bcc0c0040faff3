from __future__ import annotations

import pytest

from django_cfg.errors import RPCErrorCode
from django_cfg.rpc.call import LONGEST_WAIT_SECONDS, ON_THE_WAY_SECONDS, allowed_seconds, keep_seconds, refusal_for
from django_cfg.rpc.claims import Decision, Verdict
from django_cfg.rpc.tests.running import make_call


@pytest.mark.parametrize(
    ("asked_ms", "allowed", "kept"),
    [
        (None, 30, 30),
        (1500, 1.5, 1.5),
        (0.001, 0.000001, 0.000001),
        (60_000, 60, 60),
        (300_000, 60, 300),
        (1e300, 60, LONGEST_WAIT_SECONDS),
    ],
)
def test_deadlines_and_how_long_a_call_may_come_again(asked_ms: float | None, allowed: float, kept: float) -> None:
    assert allowed_seconds(asked_ms, 30, 60) == pytest.approx(allowed)
    assert keep_seconds(asked_ms, allowed) == pytest.approx(kept + ON_THE_WAY_SECONDS)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.CONFLICT, RPCErrorCode.VALIDATION_ERROR), (Verdict.UNKNOWN, RPCErrorCode.OUTCOME_UNKNOWN)],
)
def test_refusals(verdict: Verdict, code: RPCErrorCode) -> None:
    error = refusal_for(Decision(verdict), make_call("tasks.get"))
    assert error is not None
    assert error.code == code
    assert not error.retryable


@pytest.mark.parametrize("verdict", [Verdict.WAIT, Verdict.ANSWER, Verdict.RUN])
def test_the_others_are_no_refusals(verdict: Verdict) -> None:
    assert refusal_for(Decision(verdict), make_call("tasks.get")) is None
