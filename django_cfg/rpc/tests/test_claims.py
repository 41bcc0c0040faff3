from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from django_cfg.errors import RPCError, ServiceUnavailableError
from django_cfg.rpc.claims import Claim, ClaimTable, Key, Verdict, fingerprint, judge
from django_cfg.rpc.memory_claims import MemoryClaims

MARK, OTHER = fingerprint("m", b"{}"), fingerprint("m", b'{"a":1}')


@pytest.mark.parametrize(
    ("claim", "mark", "now", "idempotent", "verdict"),
    [
        (None, MARK, 0, False, Verdict.RUN),
        (Claim(MARK, 10, 20), MARK, 9, False, Verdict.WAIT),
        (Claim(MARK, 10, 20), MARK, 9, True, Verdict.WAIT),
        (Claim(MARK, 10, 20), MARK, 10, False, Verdict.UNKNOWN),
        (Claim(MARK, 10, 20), MARK, 10, True, Verdict.RUN),
        (Claim(MARK, 10, 20), MARK, 20, False, Verdict.RUN),
        (Claim(MARK, 10, 20), OTHER, 9, True, Verdict.CONFLICT),
        (Claim(MARK, 10, 20, finished=True, reply=b"r"), MARK, 9, False, Verdict.ANSWER),
        (Claim(MARK, 10, 20, finished=True, reply=b"r"), MARK, 19, True, Verdict.ANSWER),
        (Claim(MARK, 10, 20, finished=True, reply=b"r"), OTHER, 9, False, Verdict.CONFLICT),
        (Claim(MARK, 10, 20, finished=True, reply=b"r"), OTHER, 20, False, Verdict.RUN),
        (Claim(MARK, 10, 20, finished=True), MARK, 9, False, Verdict.UNKNOWN),
        (Claim(MARK, 10, 20, finished=True), MARK, 9, True, Verdict.UNKNOWN),
    ],
)
def test_judge(claim: Claim | None, mark: bytes, now: float, idempotent: bool, verdict: Verdict) -> None:
    assert judge(claim, mark, now, idempotent=idempotent) is verdict


def test_a_fingerprint_tells_method_and_params_apart() -> None:
    marks = [fingerprint("a", b"b"), fingerprint("ab", b""), fingerprint("a", b""), fingerprint("b", b"a")]
    assert len(set(marks)) == 4


def of(correlation_id: str, caller: str = "42") -> Key:
    return caller, correlation_id


def take(table: ClaimTable, key: str, now: float = 0, keep: float = 20) -> Verdict:
    return table.claim(of(key), MARK, now, lease_seconds=10, keep_seconds=keep, idempotent=False).verdict


def test_replies_are_bounded_and_claims_stay() -> None:
    table = ClaimTable(max_reply_bytes=10)
    for key in "abc":
        take(table, key)
        table.finish(of(key), b"12345")
    assert take(table, "a") is Verdict.UNKNOWN
    assert take(table, "b") is Verdict.ANSWER
    assert len(table) == 3


def test_a_reply_larger_than_everything_is_not_kept() -> None:
    table = ClaimTable(max_reply_bytes=10)
    take(table, "a")
    table.finish(of("a"), b"x" * 11)
    assert take(table, "a") is Verdict.UNKNOWN


def test_a_full_table_refuses_new_calls_and_keeps_the_old_ones() -> None:
    table = ClaimTable(max_claims=2)
    take(table, "a")
    take(table, "b")
    with pytest.raises(ServiceUnavailableError):
        take(table, "c")
    assert take(table, "a") is Verdict.WAIT
    assert take(table, "c", now=20) is Verdict.RUN


def test_one_caller_cannot_fill_the_table() -> None:
    table = ClaimTable(max_claims_of_one=2)
    for name in "ab":
        take(table, name)
    with pytest.raises(RPCError, match="you have made too many calls lately") as caught:
        take(table, "c")
    assert (caught.value.code, caught.value.retry_after) == ("rate_limit_exceeded", 1.0)
    options = {"lease_seconds": 10.0, "keep_seconds": 20.0}
    assert table.claim(of("c", "43"), MARK, 0, idempotent=False, **options).verdict is Verdict.RUN
    assert take(table, "a") is Verdict.WAIT
    assert take(table, "c", now=20) is Verdict.RUN


def test_expired_claims_leave_nothing_behind() -> None:
    table = ClaimTable()
    for number in range(100):
        take(table, str(number), keep=number)
        table.finish(of(str(number)), b"x")
    take(table, "new", now=100)
    assert len(table) == 1
    assert table._reply_bytes == 0  # pyright: ignore[reportPrivateUsage]
    assert not table._replies  # pyright: ignore[reportPrivateUsage]
    assert dict(table._owned) == {"42": 1}  # pyright: ignore[reportPrivateUsage]


def test_finishing_twice_or_too_late_changes_nothing() -> None:
    table = ClaimTable()
    take(table, "a")
    table.finish(of("a"), b"first")
    table.finish(of("a"), b"second")
    table.finish(of("never claimed"), b"x")
    decision = table.claim(of("a"), MARK, 1, lease_seconds=10, keep_seconds=20, idempotent=False)
    assert (decision.verdict, decision.reply) == (Verdict.ANSWER, b"first")


async def test_the_memory_store_asks_its_clock() -> None:
    now = 0.0
    store = MemoryClaims(clock=lambda: now)
    options = {"lease_seconds": 10.0, "keep_seconds": 20.0}
    assert (await store.claim(of("a"), MARK, idempotent=False, **options)).verdict is Verdict.RUN
    await store.finish(of("a"), b"reply")
    assert (await store.claim(of("a"), MARK, idempotent=False, **options)).reply == b"reply"
    now = 20.0
    assert (await store.claim(of("a"), OTHER, idempotent=False, **options)).verdict is Verdict.RUN
    assert len(store) == 1


@dataclass
class Model:
    mark: bytes
    lease_until: float
    keep_until: float
    reply: bytes | None = None


class TableMachine(RuleBasedStateMachine):
    """Against a plain dict: nothing runs twice while its claim is kept, and a reply is the one that was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.table = ClaimTable()
        self.model: dict[str, Model] = {}
        self.now = 0.0

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=st.sampled_from("abc"), mark=st.sampled_from([MARK, OTHER]), idempotent=st.booleans())
    def claim(self, key: str, mark: bytes, idempotent: bool) -> None:
        decision = self.table.claim(of(key), mark, self.now, lease_seconds=5, keep_seconds=12, idempotent=idempotent)
        held = self.model.get(key)
        if held is not None and held.keep_until <= self.now:
            held = None
        free = held is None or (
            held.mark == mark and held.reply is None and held.lease_until <= self.now and idempotent
        )
        assert (decision.verdict is Verdict.RUN) == free
        if free:
            self.model[key] = Model(mark, self.now + 5, self.now + 12)
        elif held is not None and held.mark != mark:
            assert decision.verdict is Verdict.CONFLICT
        elif held is not None:
            assert decision.reply == held.reply

    @rule(key=st.sampled_from("abc"), reply=st.binary(max_size=4))
    def finish(self, key: str, reply: bytes) -> None:
        self.table.finish(of(key), reply)
        held = self.model.get(key)
        if held is not None and held.reply is None:
            held.reply = reply

    @invariant()
    def bounded(self) -> None:
        assert len(self.table) <= 3


TableMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTable = TableMachine.TestCase
