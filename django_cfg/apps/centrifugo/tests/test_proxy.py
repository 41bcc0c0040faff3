from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_cfg.apps.centrifugo import proxy
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.tests.proxied import envelope, native, publication
from django_cfg.apps.centrifugo.tests.test_identity import ODD_IDS
from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.call import Reply

CONFIG = CentrifugoConfig(max_request_bytes=10_000, max_reply_bytes=1024)
LIMITS = proxy.CallLimits.of(CONFIG)


def refused(act: Any, *args: Any) -> str:
    with pytest.raises(RPCError) as caught:
        act(*args, LIMITS)
    answer = proxy.refusal(caught.value)
    assert answer.error is not None
    assert answer.error.message
    return caught.value.code


def test_a_publication_becomes_a_call() -> None:
    call = proxy.read_publish(publication(meta=msgspec.Raw(b'{"role":"admin"}')), LIMITS)
    assert (call.method, json.loads(call.params)) == ("add", {"a": 1, "b": 2})
    assert (call.user_id, call.client_id, call.correlation_id) == ("42", "client-1", "c1")
    assert (call.timeout_seconds, call.transport, call.is_service) == (5.0, "centrifugo", False)
    assert call.meta == {"role": "admin"}


def test_a_native_call() -> None:
    call = proxy.read_rpc(native(), LIMITS)
    assert (call.method, json.loads(call.params), call.user_id) == ("add", {"a": 1, "b": 2}, "42")
    assert call.timeout_seconds == CONFIG.longest_timeout_seconds
    assert call.timeout_seconds < CONFIG.proxy_timeout_seconds


@pytest.mark.parametrize("data", [envelope(params=...), envelope(params=None), envelope(timeout_ms=...)])
def test_what_may_be_missing(data: Any) -> None:
    call = proxy.read_publish(publication(data), LIMITS)
    assert json.loads(call.params) in ({}, {"a": 1, "b": 2})
    assert call.timeout_seconds in (5.0, CONFIG.default_timeout_seconds)


def test_native_params_may_be_missing() -> None:
    assert proxy.read_rpc(native(data=b""), LIMITS).params == b"{}"


@pytest.mark.parametrize(
    "channel",
    ["user#victim", "user#42", "user#42,victim", "", "rpc.requests ", "rpc.request", "RPC.REQUESTS", "a:rpc.requests"],
)
def test_every_other_channel_is_refused(channel: str) -> None:
    assert refused(proxy.read_publish, publication(channel=channel)) == RPCErrorCode.PERMISSION_DENIED


@given(st.text(max_size=30))
def test_no_channel_but_one(channel: str) -> None:
    if channel != "rpc.requests":
        assert refused(proxy.read_publish, publication(channel=channel)) == RPCErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize("user", ODD_IDS)
def test_anonymous_and_odd_ids_are_refused(user: str) -> None:
    code = RPCErrorCode.PERMISSION_DENIED if user else RPCErrorCode.UNAUTHORIZED
    assert refused(proxy.read_publish, publication(user=user)) == code
    assert refused(proxy.read_rpc, native(user=user)) == code


@given(st.text(max_size=70), st.text(max_size=30))
def test_a_reply_goes_to_the_authenticated_user_or_nowhere(user: str, reply_to: str) -> None:
    try:
        call = proxy.read_publish(publication(envelope(reply_to=reply_to), user=user), LIMITS)
    except RPCError:
        return
    assert proxy.reply_channel(call) == f"user#{user}"
    assert set(user).isdisjoint(",#:*")


@pytest.mark.parametrize("reply_to", ["user#victim", 5, None, {"a": 1}, "x" * 5000])
def test_reply_to_is_not_even_looked_at(reply_to: Any) -> None:
    assert proxy.reply_channel(proxy.read_publish(publication(envelope(reply_to=reply_to)), LIMITS)) == "user#42"


@pytest.mark.parametrize("correlation_id", ["", "a b", "a\n", "ä", "x" * 129, 5, None, ["a"], ..., "a/b", "\x00"])
def test_correlation_ids_are_checked(correlation_id: Any) -> None:
    data = envelope(correlation_id=correlation_id)
    assert refused(proxy.read_publish, publication(data)) == RPCErrorCode.VALIDATION_ERROR


@pytest.mark.parametrize("correlation_id", ["1", "x" * 128, "6f1c0c9e-7f1d-4b8a-9a57-1b1c6a7d9e11", "a.b_c:d-e"])
def test_usual_correlation_ids_pass(correlation_id: str) -> None:
    data = envelope(correlation_id=correlation_id)
    assert proxy.read_publish(publication(data), LIMITS).correlation_id == correlation_id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{",
        b"{}",
        b"\xff",
        b'{"method":"add","correlation_id":"c1","params":{"a":NaN}}',
        b'{"method":"add","correlation_id":"c1","params":{"a":1e999}}',
        b'{"method":"add","correlation_id":"c1","params":{"a":-Infinity}}',
        b'{"method":"add","correlation_id":"c1","params":{"a":"\\ud800"}}',
        b'{"method":"add","correlation_id":"c1","params":{"a":"\xff"}}',
        b'{"method":"add","correlation_id":"c1","params":' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"method":"add","correlation_id":"c1","junk":' + b"[" * 3000 + b"]" * 3000 + b"}",
        envelope(method=5),
        envelope(method=None),
        envelope(method=""),
        envelope(timeout_ms="soon"),
        envelope(timeout_ms=True),
        envelope(timeout_ms=[]),
    ],
)
def test_wrong_shapes(data: Any) -> None:
    assert refused(proxy.read_publish, publication(data)) == RPCErrorCode.VALIDATION_ERROR


@pytest.mark.parametrize(
    "data",
    [b"[]", b"5", b'"x"', b'{"a":NaN}', b"[" * 3000, b"{" + b" " * 10_000 + b"}", b'{"a":' * 65 + b"1" + b"}" * 65],
)
def test_wrong_native_params(data: bytes) -> None:
    assert refused(proxy.read_rpc, native(data=data)) == RPCErrorCode.VALIDATION_ERROR


@pytest.mark.parametrize("method", ["no such method", "a..b", "a\nb", "ä", "x" * 200, "rpc:requests"])
def test_a_name_that_cannot_exist_is_an_unknown_method(method: str) -> None:
    assert refused(proxy.read_publish, publication(envelope(method=method))) == RPCErrorCode.METHOD_NOT_FOUND
    assert refused(proxy.read_rpc, native(method)) == RPCErrorCode.METHOD_NOT_FOUND


def test_a_request_over_the_limit_says_both_sizes() -> None:
    with pytest.raises(RPCError, match=r"the request has 1\d{4} bytes; the limit is 10000"):
        proxy.read_publish(publication(envelope(params={"text": "x" * 10_000})), LIMITS)


@pytest.mark.parametrize("timeout_ms", [0, -1, -1e300, -0.0])
def test_a_deadline_that_has_passed(timeout_ms: float) -> None:
    assert refused(proxy.read_publish, publication(envelope(timeout_ms=timeout_ms))) == RPCErrorCode.TIMEOUT


@pytest.mark.parametrize(
    ("timeout_ms", "seconds"),
    [(1, 0.001), (0.5, 0.0005), (1500, 1.5), (60_000, 60), (61_000, 60), (1e300, 60), (10**30, 60), (None, 30)],
)
def test_deadlines_stay_within_the_limit(timeout_ms: Any, seconds: float) -> None:
    call = proxy.read_publish(publication(envelope(timeout_ms=timeout_ms)), LIMITS)
    assert call.timeout_seconds == pytest.approx(seconds)
    assert call.timeout_seconds < call.keep_seconds < 1000


@pytest.mark.parametrize("meta", [b"", b"null", b"[1]", b'"x"'])
def test_meta_is_always_an_object(meta: bytes) -> None:
    assert proxy.read_publish(publication(meta=msgspec.Raw(meta)), LIMITS).meta == {}


def error(code: str = "timeout", **changes: Any) -> WireError:
    return WireError(code=code, message="text", **changes)


def test_replies() -> None:
    assert proxy.encode_reply("c1", Reply(result=b'{"a":1}'), 1024) == b'{"correlation_id":"c1","result":{"a":1}}'
    assert proxy.encode_reply("c1", Reply(result=b""), 1024) == b'{"correlation_id":"c1","result":null}'
    assert json.loads(proxy.encode_reply("c1", Reply(error=error(retry_after=2.0)), 1024)) == {
        "correlation_id": "c1",
        "error": {"code": "timeout", "message": "text", "details": None, "retryable": True, "retry_after": 2.0},
    }


def test_an_oversized_result_becomes_an_error_that_says_so() -> None:
    for size in (1024, 5_000_000):
        message = proxy.encode_reply("c1", Reply(result=b'"' + b"x" * size + b'"'), 1024)
        assert len(message) <= 1024
        shown = json.loads(message)["error"]
        assert shown["code"] == "validation_error"
        assert "max_reply_bytes" in shown["message"]
        assert "1024" in shown["message"]


def test_an_oversized_error_keeps_its_code_and_text() -> None:
    message = proxy.encode_reply("c1", Reply(error=error("locked", details={"text": "x" * 5000})), 1024)
    assert len(message) <= 1024
    assert json.loads(message)["error"] | {} == {
        "code": "locked",
        "message": "text",
        "details": None,
        "retryable": False,
        "retry_after": None,
    }


def test_native_answers() -> None:
    answer = proxy.rpc_answer(Reply(result=b'{"a":1}'), 1024)
    assert msgspec.json.encode(answer) == b'{"result":{"data":{"a":1}}}'
    oversized = proxy.rpc_answer(Reply(result=b"1" * 1025), 1024)
    assert oversized.error is not None
    assert oversized.error.code == RPCErrorCode.VALIDATION_ERROR.number
    assert "max_reply_bytes" in oversized.error.message


@pytest.mark.parametrize(("index", "code"), list(enumerate(RPCErrorCode)))
def test_numbers_follow_the_order_of_the_codes(index: int, code: RPCErrorCode) -> None:
    answer = proxy.rpc_answer(Reply.of_error(RPCError(code=code, details={"not": "carried"})), 1024)
    decoded = json.loads(msgspec.json.encode(answer))
    assert decoded["error"].pop("temporary", False) is code.retryable
    assert decoded == {"error": {"code": 1001 + index, "message": code.value.replace("_", " ")}}


def test_a_declared_code_travels_as_an_application_error() -> None:
    answer = proxy.rpc_answer(Reply(error=error("locked", retryable=True)), 1024)
    assert answer.error is not None
    assert (answer.error.code, answer.error.message) == (RPCErrorCode.APPLICATION_ERROR.number, "text")
    assert answer.error.temporary


def test_an_accepted_request_stays_out_of_the_history() -> None:
    assert msgspec.json.encode(proxy.ACCEPTED) == b'{"result":{"skip_history":true}}'
