"""What is decided about dead servers, repeats, broken links and missed deadlines."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from django_cfg.errors import CallTimeoutError, NoResponders, RPCOverloadedError
from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.explain import Facts, explain, read_facts, timeout_error
from django_cfg.modules.django_rpc.intake import Request
from django_cfg.modules.django_rpc.outgoing import AfterLoss, after_loss, prepare, read_answer
from django_cfg.modules.django_rpc.recovery import (
    MOST_DELIVERIES,
    Consumer,
    Fate,
    Repeat,
    dead_consumers,
    fate_of,
    judge_record,
    read_consumers,
)
from django_cfg.modules.django_rpc.redact import redacted
from django_cfg.rpc.call import Reply, stopped

MARK = b"m" * protocol.MARK_BYTES
CALL = Request("1-0", "echo", b"{}", "c1", "list:response:c1", 30.0, MARK, deliveries=2)
NOW_MS = 100_000.0


def consumer(name: str = "rpc-a", pending: int = 1, idle_ms: int = 60_000, *, seen: bool = True) -> Consumer:
    return Consumer(name, pending, idle_ms, ours=not name.startswith("ws_server"), asking_is_seen=seen)


@pytest.mark.parametrize(
    ("found", "alive", "dead"),
    [
        (consumer(), {"rpc-a": NOW_MS + 1}, False),
        (consumer(), {"rpc-a": -NOW_MS - 1}, False),  # it drains
        (consumer(pending=0), {"rpc-a": NOW_MS - 1}, True),
        (consumer(), {"rpc-a": -NOW_MS + 1}, True),
        (consumer(idle_ms=1000), {}, False),  # it has yet to say so, after a FLUSHALL
        (consumer(idle_ms=5000), {}, True),
        (consumer("me"), {}, False),
        (consumer("ws_server_1", idle_ms=14_999), {}, False),
        (consumer("ws_server_1", idle_ms=15_000), {}, True),
        (consumer("ws_server_1", idle_ms=299_999, seen=False), {}, False),  # it may run a long call, and ask in vain
        (consumer("ws_server_1", idle_ms=300_000, seen=False), {}, True),
        (consumer("ws_server_1", pending=0), {}, False),
    ],
)
def test_who_has_died(found: Consumer, alive: dict[str, float], dead: bool) -> None:
    assert dead_consumers([found], alive, NOW_MS, "me") == ([found] if dead else [])


def test_which_consumers_are_ours_and_which_are_seen_to_ask() -> None:
    rows: list[dict[bytes, object]] = [
        {b"name": b"rpc-a", b"pending": 1, b"idle": 2},
        {b"name": b"ws_server_1", b"pending": 3, b"idle": 4, b"inactive": -1},
    ]

    assert read_consumers(rows, "rpc-") == [
        Consumer("rpc-a", 1, 2, ours=True, asking_is_seen=False),
        Consumer("ws_server_1", 3, 4, ours=False, asking_is_seen=True),
    ]


def test_what_becomes_of_a_dead_servers_entry() -> None:
    assert fate_of(CALL, idempotent=False) is Fate.UNKNOWN
    assert fate_of(CALL, idempotent=True) is Fate.RUN
    assert fate_of(replace(CALL, key="k"), idempotent=False) is Fate.RUN
    assert fate_of(replace(CALL, reply_to=None), idempotent=False) is Fate.RUN
    assert fate_of(replace(CALL, key="k", deliveries=MOST_DELIVERIES + 1), idempotent=False) is Fate.POISON


def test_what_a_repeat_gets() -> None:
    assert judge_record(b"?" + MARK, MARK) is Repeat.WAIT
    assert judge_record(b"=" + MARK + b"reply", MARK) is Repeat.ANSWER
    assert judge_record(b"!" + MARK, MARK) is Repeat.UNKNOWN
    assert judge_record(b"=" + b"n" * protocol.MARK_BYTES, MARK) is Repeat.CONFLICT


@pytest.mark.parametrize(
    ("record", "there", "accepted", "same_run", "key", "verdict"),
    [
        (b"?" + MARK, True, True, False, "", AfterLoss.WAIT),
        (b"?" + MARK, False, True, False, "", AfterLoss.UNKNOWN),
        (b"?" + MARK, False, True, True, "", AfterLoss.WAIT),
        (b"!" + MARK, True, True, True, "", AfterLoss.UNKNOWN),
        (None, False, True, True, "", AfterLoss.WAIT),
        (None, False, False, True, "", AfterLoss.RESEND),
        (None, False, False, False, "", AfterLoss.UNKNOWN),
        (None, False, True, False, "", AfterLoss.UNKNOWN),
        (None, False, True, False, "k", AfterLoss.RESEND),
    ],
)
def test_after_a_lost_link(
    record: bytes | None, there: bool, accepted: bool, same_run: bool, key: str, verdict: AfterLoss
) -> None:
    outgoing = prepare("echo", b"{}", 30.0, key)

    assert after_loss(outgoing, record, there=there, accepted=accepted, same_run=same_run) == (verdict, None)


def test_after_a_lost_link_a_kept_reply_is_the_answer() -> None:
    outgoing = prepare("echo", b"{}", 30.0)

    verdict, reply = after_loss(outgoing, b"=" + MARK + b'{"result":5}', there=False, accepted=True, same_run=False)

    assert verdict is AfterLoss.ANSWER
    assert reply == Reply(result=b"5")


def test_refusals_of_the_script_are_errors() -> None:
    assert read_answer(b"5-1", "echo") == "5-1"
    with pytest.raises(NoResponders, match="echo"):
        read_answer(b"!no_responders", "echo")
    with pytest.raises(RPCOverloadedError):
        read_answer(b"!overloaded", "echo")


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (Facts(1, True, "rpc-a", 4900, 1, 0, b"?"), "running", "4.9 s on rpc-a"),
        (
            Facts(1, True, "rpc-a", 4900, 1, 0, b"?", silent=True),
            "server_lost",
            "rpc-a, which ran it, has fallen silent",
        ),
        (Facts(1, True, "", 0, 0, 812, b"?"), "queued", "behind 812"),
        (Facts(1, True, "", 0, 0, 1000, b"?"), "queued", "1000 or more"),
        (Facts(0, True, "", 0, 0, 3, b"?"), "no_server", "no server is alive; 3 "),
        (Facts(1, False, "", 0, 0, 0, b"="), "reply_lost", "reply was lost"),
        (Facts(1, False, "", 0, 0, 0, b"=", stopped=True), "stopped", "the server stopped it then"),
        (Facts(1, False, "", 0, 0, 0, b""), "gone", "trimmed"),
    ],
)
def test_a_timeout_says_why(facts: Facts, state: str, words: str) -> None:
    assert explain(facts)[0] == state
    assert words in explain(facts)[1]


def test_a_call_that_was_stopped_at_its_deadline_has_lost_no_reply() -> None:
    late = protocol.dump_reply(Reply.of_error(stopped("late")))
    found = [1, 0, None, 0, 0, 0, protocol.finished_record(MARK, late, keyed=False), 0]

    assert read_facts(found).stopped
    own = protocol.dump_reply(Reply.of_error(CallTimeoutError("the bank did not answer", details={"bank": 1})))
    assert not read_facts([*found[:6], protocol.finished_record(MARK, own, keyed=False), 0]).stopped
    assert not read_facts([*found[:6], protocol.finished_record(MARK, b'{"result":5}', keyed=False), 0]).stopped


def test_a_timeout_says_when_nothing_is_known() -> None:
    error = timeout_error(prepare("echo", b"{}", 2.5), None)

    assert str(error) == "no answer to echo within 2.5 s: Redis could not be asked why"
    assert error.details == {"state": "unreachable"}


def test_secrets_are_redacted_at_any_depth() -> None:
    line = redacted(b'{"user":{"Password":"a","name":"Ann"},"items":[{"cardNumber":"4111"}]}')

    assert line == '{"user":{"Password":"[redacted]","name":"Ann"},"items":[{"cardNumber":"[redacted]"}]}'


@pytest.mark.parametrize(
    "name",
    ["pwd", "jwt", "bearer", "csrf", "private", "signature", "user_pin", "pinCode", "userPin", "newPinAgain", "2fa"],
)
def test_names_that_sound_secret(name: str) -> None:
    assert redacted(b'{"%b":"a"}' % name.encode()) == f'{{"{name}":"[redacted]"}}'


@pytest.mark.parametrize("name", ["shopping", "isPinned", "pinned", "spin", "Ping"])
def test_names_that_only_look_like_secrets(name: str) -> None:
    assert redacted(b'{"%b":"a"}' % name.encode()) == f'{{"{name}":"a"}}'


def test_text_that_would_forge_a_log_is_escaped() -> None:
    assert redacted('{"text":"a\u202eb\u2028c\x9b"}'.encode()) == r'{"text":"a\u202eb\u2028c\x9b"}'


def test_long_lines_are_cut() -> None:
    assert len(redacted(b'{"text":"' + b"x" * 1000 + b'"}')) < 150
    assert len(redacted(b"[" + b",".join(b'"' + b"y" * 90 + b'"' for _ in range(50)) + b"]")) == 500
