"""Pure: one call from outside, the reply it ends in, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from django_cfg.errors import CallTimeoutError, MalformedMessageError, OutcomeUnknownError, RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.claims import Decision, Verdict
from django_cfg.rpc.failure import wire_error
from django_cfg.rpc.method import Transport

__all__ = ["Call", "Reply", "allowed_seconds", "keep_seconds", "refusal_for", "stopped", "was_stopped"]

ON_THE_WAY_SECONDS = 10.0
"""Clients stop sending a call again at their own deadline; this is for what is still on its way then."""

LONGEST_WAIT_SECONDS = 600.0
"""Whoever says that it waits longer may find its call forgotten: claims must not pile up at a caller's word."""

_STOPPED = {"state": "stopped"}


class Call(msgspec.Struct, frozen=True):
    """A checked call. `user_id`, `client_id` and `meta` are the broker's word; `params` is checked JSON.

    `keep_seconds` is how long it may still arrive again.
    """

    method: str
    params: bytes
    timeout_seconds: float
    user_id: str | None
    client_id: str = ""
    correlation_id: str = ""
    keep_seconds: float = LONGEST_WAIT_SECONDS
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    transport: Transport = Transport.CENTRIFUGO
    is_service: bool = False


class Reply(msgspec.Struct, frozen=True):
    """Exactly one of the two: the result as JSON, or an error."""

    result: bytes | None = None
    error: WireError | None = None

    @classmethod
    def of_error(cls, error: RPCError) -> Reply:
        return cls(error=wire_error(error))


def allowed_seconds(asked_ms: float | None, default_seconds: float, longest_seconds: float) -> float:
    """The deadline of a call: what its caller asked for, within the project's limit."""
    return min(default_seconds if asked_ms is None else asked_ms / 1000, longest_seconds)


def keep_seconds(asked_ms: float | None, allowed: float) -> float:
    """How long the call's claim must last: a caller that waits past its allowed time can still send it again."""
    waits = allowed if asked_ms is None else max(allowed, asked_ms / 1000)
    return min(waits, LONGEST_WAIT_SECONDS) + ON_THE_WAY_SECONDS


def refusal_for(decision: Decision, call: Call) -> RPCError | None:
    """The error for a delivery that must not run and has no stored reply; None while its first delivery runs."""
    if decision.verdict is Verdict.CONFLICT:
        return MalformedMessageError("this correlation id belongs to another call")
    if decision.verdict is Verdict.UNKNOWN:
        return OutcomeUnknownError(f"{call.method} may have run; its outcome is lost")
    return None


def stopped(text: str) -> CallTimeoutError:
    """The server itself has ended the call at its deadline, which its details tell from a handler's own error."""
    return CallTimeoutError(text, details=dict(_STOPPED))


def was_stopped(error: WireError) -> bool:
    """Whether it is one of `stopped`."""
    return error.code == RPCErrorCode.TIMEOUT and error.details == _STOPPED
