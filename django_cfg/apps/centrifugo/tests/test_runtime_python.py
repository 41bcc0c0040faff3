# pyright: reportPrivateUsage=false
"""The pure decisions of the Python base client."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
from typing import Any

import pytest
from centrifuge import ClientDisconnectedError, OperationTimeoutError, ReplyError  # type: ignore[import-untyped]

from django_cfg import errors
from django_cfg.apps.centrifugo.codegen.runtime.python import rpc_client
from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import RPCError, RPCErrorCode, Transport


def a_call(transport: Transport = "publish", sends: int = 1, *, accepted: bool = False) -> rpc_client._Call:
    loop = asyncio.new_event_loop()
    try:
        return rpc_client._Call({}, 0.0, transport, loop.create_future(), sends, accepted)
    finally:
        loop.close()


def outcome(call: rpc_client._Call, number: int, *, temporary: bool = False) -> str | None:
    error = rpc_client._outcome_of_failure(call, ReplyError(number, "why", temporary))
    return error.code if error else None


def test_the_codes_are_the_servers() -> None:
    ours = {code.name: (code.value, RPCError(code).retryable) for code in RPCErrorCode}
    assert ours == {code.name: (code.value, code.retryable) for code in errors.RPCErrorCode}


@pytest.mark.parametrize("code", list(errors.RPCErrorCode))
def test_each_number_is_its_code(code: errors.RPCErrorCode) -> None:
    for temporary in (True, False):
        error = rpc_client._outcome_of_failure(a_call(), ReplyError(code.number, "why", temporary))
        assert error is not None
        assert (error.code, error.message, error.retryable) == (code.value, "why", temporary)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (101, "permission_denied"),
        (103, "permission_denied"),
        (104, "method_not_found"),
        (106, "rate_limit_exceeded"),
        (107, "validation_error"),
        (108, "service_unavailable"),
        (109, "unauthorized"),
        (110, "unauthorized"),
        (102, "internal_error"),
        (1019, "internal_error"),
        (400, "internal_error"),
    ],
)
@pytest.mark.parametrize("transport", ["publish", "rpc"])
def test_built_in_numbers(number: int, code: str, transport: Transport) -> None:
    assert outcome(a_call(transport), number) == code


@pytest.mark.parametrize("number", [100, 111, 1503])
def test_temporary_errors_of_a_publish(number: int) -> None:
    assert [outcome(a_call(sends=sends), number, temporary=True) for sends in (1, 3)] == [None, None]
    assert outcome(a_call(sends=4), number, temporary=True) == "outcome_unknown"
    assert outcome(a_call(sends=4, accepted=True), number, temporary=True) is None


def test_error_100_is_temporary_whatever_it_says() -> None:
    assert outcome(a_call(), 100) is None


def test_a_refused_repeat() -> None:
    repeat = a_call(sends=2, accepted=True)
    assert outcome(repeat, 1008, temporary=True) is None
    assert outcome(repeat, 1014) == "permission_denied"


def test_an_interrupted_rpc() -> None:
    assert outcome(a_call("rpc"), 100, temporary=True) == "outcome_unknown"
    assert outcome(a_call("rpc"), 111, temporary=True) == "rate_limit_exceeded"


def test_lost_and_late_acknowledgements() -> None:
    lost, late = ClientDisconnectedError("lost"), OperationTimeoutError("late")
    of = rpc_client._outcome_of_failure
    interrupted = of(a_call("rpc"), lost)
    assert interrupted is not None
    assert interrupted.code == "outcome_unknown"
    assert [of(a_call("rpc"), late), of(a_call(sends=4), lost), of(a_call(sends=4), late)] == [None, None, None]


def test_the_end_of_the_connection() -> None:
    assert rpc_client._outcome_of_end(a_call(sends=0), "gone").code == "connection_error"
    assert rpc_client._outcome_of_end(a_call(sends=1), "gone").code == "outcome_unknown"


@pytest.mark.parametrize(
    ("reply", "result"),
    [({"result": {"a": 1}}, {"a": 1}), ({"result": 5, "error": None}, 5), ({"result": None}, None), ({}, None)],
)
def test_results(reply: dict[str, Any], result: Any) -> None:
    assert rpc_client._outcome_of_reply(reply) == result


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "task_locked", "message": "m"}, ("task_locked", "m", None, False, None)),
        ({"code": "timeout", "message": ""}, ("timeout", "timeout", None, True, None)),
        ({"code": "timeout", "retryable": False, "retry_after": 2}, ("timeout", "timeout", None, False, 2)),
        ({"code": "x", "details": {"a": 1}, "retry_after": 0.5}, ("x", "x", {"a": 1}, False, 0.5)),
        ({"code": 7, "message": [], "details": [], "retryable": "yes", "retry_after": "1"}, ("internal_error",)),
        ("text", ("internal_error",)),
        ({}, ("internal_error",)),
        (False, ("internal_error",)),
    ],
)
def test_error_replies(error: Any, expected: tuple[Any, ...]) -> None:
    read = rpc_client._outcome_of_reply({"error": error})
    full = (*expected, "internal error", None, False, None)[:5] if len(expected) == 1 else expected
    assert (read.code, read.message, read.details, read.retryable, read.retry_after) == full


def test_an_error_is_its_message_and_survives_pickling() -> None:
    error = RPCError("timeout", "Task 999 not found", details={"id": 999}, retryable=False, retry_after=1.5)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), vars(copy)) == ("Task 999 not found", vars(error))
    assert copy.code is RPCErrorCode.TIMEOUT


async def test_the_first_outcome_counts() -> None:
    results = [asyncio.get_running_loop().create_future() for _ in range(2)]
    for future, outcomes in zip(results, ([1, RPCError("timeout")], [RPCError("timeout"), 1]), strict=True):
        for outcome_ in outcomes:
            rpc_client._settle(future, outcome_)
    assert await results[0] == 1
    with pytest.raises(RPCError):
        await results[1]


async def test_an_error_that_nobody_awaits_is_not_reported() -> None:
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    rpc_client._settle(loop.create_future(), RPCError("timeout"))
    gc.collect()
    assert reported == []


def test_sizes_are_those_that_the_sdk_sends() -> None:
    request = {"text": "\u044f" * 10}
    size = len(json.dumps(request))
    assert rpc_client._encode(request, size) == json.dumps(request)
    with pytest.raises(RPCError, match=rf"has {size} bytes, the limit is {size - 1} bytes"):
        rpc_client._encode(request, size - 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1, 2}])
def test_what_is_no_json(value: Any) -> None:
    with pytest.raises(RPCError) as caught:
        rpc_client._encode({"value": value}, 1000)
    assert caught.value.code == RPCErrorCode.VALIDATION_ERROR
