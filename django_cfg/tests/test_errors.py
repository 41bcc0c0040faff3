from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from django_cfg import errors
from django_cfg.errors import (
    CallTimeoutError,
    NoResponders,
    RPCConfigurationError,
    RPCConnectionError,
    RPCError,
    RPCErrorCode,
    RPCOverloadedError,
    RPCRemoteError,
    RPCTimeoutError,
    ServiceUnavailableError,
)
from django_cfg.models.websocket import RPCError as WireError

ON_THE_WIRE = WireError(code="locked", message="busy", details={"by": "Ann"}, retryable=True, retry_after=2.5)
EXAMPLES: list[RPCError] = [
    RPCTimeoutError(method="slow", timeout_seconds=5),
    RPCTimeoutError("queued behind 4", method="slow", timeout_seconds=0.5, details={"ahead": 4}),
    RPCRemoteError(ON_THE_WIRE),
    RPCConnectionError("Redis is away"),
    RPCConfigurationError("settings.WEBSOCKET_RPC: no"),
    RPCOverloadedError(retry_after=1.5),
    NoResponders(method="echo"),
    NoResponders(),
]


def test_the_tree_on_top_is_the_truth() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in str(errors.__doc__).splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)(?=  |$)", line)
        if found:
            above[len(found[1]) // 4 :] = [found[2]]
            drawn[found[2]] = above[-2] if len(above) > 1 else "Exception"
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    }

    assert drawn == real


def test_all_are_public() -> None:
    defined = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert set(errors.__all__) == defined


@pytest.mark.parametrize("error", EXAMPLES)
def test_they_survive_pickling_and_copying(error: RPCError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("error", "code", "retryable", "message"),
    [
        (EXAMPLES[0], RPCErrorCode.TIMEOUT, True, "no answer to slow within 5 s"),
        (EXAMPLES[1], RPCErrorCode.TIMEOUT, True, "queued behind 4"),
        (EXAMPLES[2], "locked", True, "busy"),
        (EXAMPLES[3], RPCErrorCode.CONNECTION_ERROR, True, "Redis is away"),
        (EXAMPLES[4], RPCErrorCode.INTERNAL_ERROR, False, "settings.WEBSOCKET_RPC: no"),
        (
            EXAMPLES[5],
            RPCErrorCode.SERVICE_UNAVAILABLE,
            True,
            "too many requests are waiting; nothing was sent, try again in 1.5 s",
        ),
        (EXAMPLES[6], RPCErrorCode.SERVICE_UNAVAILABLE, True, "no server is alive to answer echo"),
    ],
)
def test_codes_and_messages(error: RPCError, code: str, retryable: bool, message: str) -> None:
    assert (error.code, error.retryable, str(error)) == (code, retryable, message)


def test_what_each_knows() -> None:
    timeout, remote = RPCTimeoutError(method="slow", timeout_seconds=5), RPCRemoteError(ON_THE_WIRE)

    assert (timeout.method, timeout.timeout_seconds) == ("slow", 5)
    assert remote.error is ON_THE_WIRE
    assert (remote.is_retryable, remote.retry_after, remote.details) == (True, 2.5, {"by": "Ann"})
    assert RPCRemoteError(WireError(code=RPCErrorCode.INTERNAL_ERROR, message="m")).is_retryable is False
    assert RPCOverloadedError(retry_after=1.5).retry_after == 1.5
    assert NoResponders(method="echo").method == "echo"


def test_the_general_kind_catches_the_special_one() -> None:
    assert issubclass(RPCTimeoutError, CallTimeoutError)
    assert issubclass(RPCOverloadedError, ServiceUnavailableError)
    assert issubclass(NoResponders, ServiceUnavailableError)
