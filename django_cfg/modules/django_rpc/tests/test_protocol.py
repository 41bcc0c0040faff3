from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from django_cfg.errors import MalformedMessageError, RPCError, RPCErrorCode
from django_cfg.modules.django_rpc import protocol
from django_cfg.rpc.call import Reply

NOW = datetime(2026, 11, 20, 9, 48, 5, 413699, tzinfo=UTC)
SIX_KEYS = ["correlation_id", "timestamp", "success", "error", "error_code", "result"]
FAILED = Reply.of_error(
    RPCError("locked", code="task_locked", details={"by": "Ann"}, retryable=True, retry_after=2.5),
)


def rendered(reply: Reply, **how: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(protocol.render_response(reply, "c1", NOW, **how))
    return decoded


def test_a_result_and_an_error_have_the_six_keys_in_order() -> None:
    assert list(rendered(Reply(result=b"1"))) == SIX_KEYS
    assert list(rendered(FAILED)) == SIX_KEYS
    assert rendered(Reply(result=b"1"))["timestamp"] == "2026-11-20T09:48:05.413699Z"


def test_only_extended_clients_get_one_key_more() -> None:
    assert rendered(FAILED, extended=True)["error_data"] == {
        "details": {"by": "Ann"},
        "retryable": True,
        "retry_after": 2.5,
    }
    assert list(rendered(Reply(result=b"1"), extended=True)) == SIX_KEYS


def test_typed_clients_find_errors_by_type_and_no_null() -> None:
    assert rendered(FAILED, typed=True) == {"type": "error", "error": {"code": "task_locked", "message": "locked"}}
    assert rendered(Reply(result=b"null"), typed=True)["result"] == {}


@pytest.mark.parametrize("reply", [FAILED, Reply(result=b'{"a":[1,2]}'), Reply(result=b"null")])
def test_our_own_replies_come_back_whole(reply: Reply) -> None:
    assert protocol.read_response(protocol.render_response(reply, "c1", NOW, extended=True)) == ("c1", reply)
    assert protocol.read_reply(protocol.dump_reply(reply)) == reply


def test_errors_of_older_servers_are_read() -> None:
    message = rendered(FAILED) | {"error": "boom", "error_code": "internal_error"}
    _, reply = protocol.read_response(json.dumps(message).encode())

    assert reply.error is not None
    assert (reply.error.code, reply.error.message, reply.error.retryable) == ("internal_error", "boom", False)


def test_an_error_object_is_read_too() -> None:
    _, reply = protocol.read_response(b'{"type":"error","error":{"code":"timeout","message":"late"}}')

    assert reply.error is not None
    assert reply.error.code == RPCErrorCode.TIMEOUT
    assert reply.error.retryable


@pytest.mark.parametrize("message", [b"", b"[]", b"{", b'{"success":"yes"}', b"\xff"])
def test_what_is_no_reply_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        protocol.read_response(message)


def test_a_mark_binds_method_and_params_however_they_are_spaced() -> None:
    mark = protocol.call_mark("a", b'{"n": 1}')

    assert len(mark) == protocol.MARK_BYTES
    assert protocol.call_mark("a", b'{"n":1}') == mark
    assert protocol.call_mark("b", b'{"n":1}') != mark
    assert protocol.call_mark("a", b'{"n":2}') != mark


def test_large_replies_are_kept_only_under_keys() -> None:
    mark, kept = b"m" * protocol.MARK_BYTES, b'{"result":' + b"1" * 20_000 + b"}"

    assert protocol.finished_record(mark, kept, keyed=False) == protocol.FINISHED_UNKEPT + mark
    assert protocol.finished_record(mark, kept, keyed=True) == protocol.FINISHED + mark + kept


@pytest.mark.parametrize("key", ["list:response:6f2c", "list:response:a_b.c-d:e"])
def test_reply_lists_under_the_prefix(key: str) -> None:
    assert protocol.reply_pattern("list:response:").fullmatch(key)


@pytest.mark.parametrize(
    "key", ["celery", "list:response:", "list:responseX", "list:response:a b", "list:response:a\n"]
)
def test_no_other_key(key: str) -> None:
    assert not protocol.reply_pattern("list:response:").fullmatch(key)


@pytest.mark.parametrize(("seconds", "written"), [(30.0, 30), (0.2, 1), (2.01, 3), (1000.0, 300), (0.0, 0)])
def test_the_wire_has_whole_seconds(seconds: float, written: int) -> None:
    payload = json.loads(protocol.encode_request("m", b"{}", "c1", "list:response:c1", seconds, NOW))

    assert payload["timeout"] == written
    assert list(payload) == ["correlation_id", "timestamp", "method", "reply_to", "timeout", "params"]


def test_a_key_always_gives_the_same_id() -> None:
    assert protocol.keyed_correlation_id("m", "k") == protocol.keyed_correlation_id("m", "k")
    assert protocol.keyed_correlation_id("m", "k") != protocol.keyed_correlation_id("n", "k")
    streams = (protocol.DEFAULT_STREAM, "stream:billing", "stream:shop")
    assert len({protocol.keyed_correlation_id("m", "k", stream) for stream in streams}) == 3
    # What it was in earlier versions: a retry by a newer caller must meet the attempt of an older one.
    assert protocol.keyed_correlation_id("m", "k", "stream:requests") == "8846f9bf-077d-5fba-9b24-c4ee6e5988ed"


@pytest.mark.parametrize(
    "details",
    [b'"\xff"', b'{"a":"\xff"}', b"5", b'{"a":1e999}'],
    ids=["bytes", "inner-bytes", "no-object", "infinite"],
)
def test_an_error_with_unreadable_details_is_an_error_all_the_same(details: bytes) -> None:
    message = b'{"correlation_id":"c1","success":false,"error":"boom","error_data":{"details":%b}}' % details

    correlation_id, reply = protocol.read_response(message)

    assert correlation_id == "c1"
    assert reply.error is not None


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"null", b"[" * 100_000, b'{"correlation_id":5}', b'{"error":"\xff"}']
)
def test_an_unreadable_reply_is_malformed(message: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        protocol.read_response(message)


@pytest.mark.parametrize(
    ("reply", "final"),
    [
        (Reply(result=b"1"), True),
        (Reply.of_error(RPCError("no", code=RPCErrorCode.APPLICATION_ERROR)), True),
        (Reply.of_error(RPCError("late", code=RPCErrorCode.TIMEOUT)), False),
        (Reply.of_error(RPCError("cut short", code=RPCErrorCode.OUTCOME_UNKNOWN)), False),
        (Reply.of_error(RPCError("an older server", code=RPCErrorCode.METHOD_NOT_FOUND)), False),
    ],
)
def test_what_answers_every_attempt_under_a_key(reply: Reply, final: bool) -> None:
    assert protocol.is_final(reply) == final
