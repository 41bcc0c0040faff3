from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, SynchronousOnlyOperation
from django.db import DatabaseError
from pydantic import BaseModel

from django_cfg import errors
from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.failure import describe
from django_cfg.rpc.method import RPCMethodInfo
from django_cfg.rpc.tests.models import AddParams, add

CANARY = "canary-3c9a"


class NotFound(ValueError):
    pass


class Fatal(BaseException):
    pass


class BrokenText(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class BrokenValueError(ValueError):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class Locked(RPCError):
    code = "locked"


def passing(error: RPCError) -> RPCError:
    """As it comes out of a client's call of another method."""
    error.called = "bank.pay"
    return error


def raised(act: Callable[[], Any]) -> BaseException:
    try:
        act()
    except BaseException as error:  # noqa: BLE001 - the test's subject
        return error
    raise AssertionError("nothing was raised")


def _json() -> Any:
    return json.loads(CANARY)


def _model() -> BaseModel:
    return AddParams.model_validate({"a": CANARY})


LIBRARY_VALUE_ERRORS = [
    raised(_json),
    raised(_model),
    raised(lambda: b"\xff".decode()),
    raised(lambda: "\ud800".encode()),
]
OTHERS: list[BaseException] = [
    *LIBRARY_VALUE_ERRORS,
    *(kind(CANARY) for kind in (Exception, BaseException, Fatal, TypeError, KeyError, IndexError, AttributeError)),
    *(kind(CANARY) for kind in (LookupError, RuntimeError, NotImplementedError, RecursionError, NameError, EOFError)),
    *(kind(CANARY) for kind in (OSError, FileNotFoundError, PermissionError, ConnectionError, BrokenPipeError)),
    *(kind(CANARY) for kind in (ConnectionResetError, TimeoutError, InterruptedError, BlockingIOError, MemoryError)),
    *(kind(CANARY) for kind in (ArithmeticError, ZeroDivisionError, OverflowError, AssertionError, BufferError)),
    *(kind(CANARY) for kind in (ImportError, ModuleNotFoundError, StopIteration, StopAsyncIteration, SyntaxError)),
    *(kind(CANARY) for kind in (SystemError, SystemExit, KeyboardInterrupt, GeneratorExit, ReferenceError, Warning)),
    *(kind(CANARY) for kind in (UserWarning, DeprecationWarning, UnboundLocalError, IndentationError)),
    *(kind(CANARY) for kind in (asyncio.CancelledError, asyncio.InvalidStateError, asyncio.QueueFull)),
    *(kind(CANARY) for kind in (ObjectDoesNotExist, PermissionDenied, SynchronousOnlyOperation, DatabaseError)),
    ExceptionGroup(CANARY, [ValueError(CANARY), RPCError(CANARY)]),
    BaseExceptionGroup(CANARY, [SystemExit(CANARY)]),
    BrokenText(),
    Locked(CANARY),
    errors.DjangoCfgError(CANARY),
    errors.PublishError(CANARY),
    RPCError("x", details={"secret": CANARY, "object": object()}),
    *(passing(kind(CANARY)) for kind in (errors.RPCConnectionError, errors.NoResponders, errors.MalformedMessageError)),
    passing(errors.RPCOverloadedError(CANARY, retry_after=1)),
    passing(errors.RPCTimeoutError(CANARY, method="bank.pay", timeout_seconds=1)),
    passing(errors.RPCRemoteError(WireError(code="timeout", message=CANARY))),
    errors.RPCConfigurationError(CANARY),
    RPCError(CANARY, retry_after=-1),
]


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_everything_unexpected_becomes_an_id(error: BaseException) -> None:
    failure = describe(error)
    assert failure.unexpected
    assert failure.error.code is RPCErrorCode.INTERNAL_ERROR
    assert failure.error.details is not None
    assert failure.error.message == f"internal error (id {failure.error.details['error_id']})"
    assert CANARY not in failure.error.model_dump_json()
    assert CANARY not in failure.hint


def test_there_are_fifty_kinds() -> None:
    assert len({type(error) for error in OTHERS}) >= 50


@pytest.mark.parametrize("kind", [ValueError, NotFound])
def test_a_projects_value_errors_show_their_text(kind: type[ValueError]) -> None:
    failure = describe(kind("Task 999 not found"))
    assert not failure.unexpected
    assert (failure.error.code, failure.error.message) == (RPCErrorCode.APPLICATION_ERROR, "Task 999 not found")
    assert failure.error.retryable is False


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), "ValueError"),
        (NotFound("  "), "NotFound"),
        (BrokenValueError(), "BrokenValueError"),
        (RPCError(), "internal error"),
        (errors.CallTimeoutError(" "), "timeout"),
        (ValueError("half \ud800 a pair"), "half ? a pair"),
    ],
)
def test_every_error_has_a_text(error: Exception, message: str) -> None:
    shown = describe(error).error
    assert shown.message == message
    shown.model_dump_json()


def test_a_long_text_is_cut() -> None:
    shown = describe(ValueError("ä" * 10_000)).error
    assert len(shown.message) == 500
    assert shown.message.endswith("ä…")


def test_the_packages_own_errors_are_shown_whole() -> None:
    error = RPCError("busy", code=RPCErrorCode.RATE_LIMIT_EXCEEDED, details={"limit": 5}, retry_after=2.5)
    failure = describe(error)
    assert not failure.unexpected
    assert json.loads(failure.error.model_dump_json()) == {
        "code": "rate_limit_exceeded",
        "message": "busy",
        "details": {"limit": 5},
        "retryable": True,
        "retry_after": 2.5,
    }


@pytest.mark.parametrize("code", list(RPCErrorCode))
def test_retryable_follows_the_code_unless_the_error_says_otherwise(code: RPCErrorCode) -> None:
    assert describe(RPCError("x", code=code)).error.retryable is code.retryable
    assert describe(RPCError("x", code=code, retryable=not code.retryable)).error.retryable is not code.retryable


@pytest.mark.parametrize("error", [errors.RPCOverloadedError("busy", retry_after=2), errors.NoResponders("busy")])
def test_what_a_handler_makes_itself_is_shown_whatever_its_class(error: RPCError) -> None:
    shown = describe(error).error
    assert (shown.code, shown.message, shown.retryable) == (RPCErrorCode.SERVICE_UNAVAILABLE, "busy", True)


def test_an_error_that_the_method_declares_is_shown() -> None:
    method = RPCMethodInfo("m", add, errors=(Locked,))
    failure = describe(Locked("by ann", details={"by": "ann"}), method)
    assert (failure.error.code, failure.error.message, failure.unexpected) == ("locked", "by ann", False)


def test_hints_say_what_to_change() -> None:
    assert "acount, aget" in describe(SynchronousOnlyOperation("x")).hint
    assert "declare Locked with errors=[...]" in describe(Locked("x")).hint
    assert "its call of bank.pay failed" in describe(passing(errors.NoResponders())).hint
    assert "cancelled from inside" in describe(asyncio.CancelledError()).hint
    assert "details must be JSON" in describe(RPCError("x", details={"a": object()})).hint


def test_codes_are_numbered_in_their_order() -> None:
    assert [code.number for code in RPCErrorCode] == list(range(1001, 1019))
    assert [code.value for code in RPCErrorCode if code.retryable] == [
        "timeout",
        "rate_limit_exceeded",
        "service_unavailable",
        "connection_error",
        "redis_error",
    ]
