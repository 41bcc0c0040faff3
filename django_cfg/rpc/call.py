"""Pure: one call from outside, the reply it ends in, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.claims import Decision, Verdict
from django_cfg.rpc.failure import wire_error
from django_cfg.rpc.method import Transport

__all__ = ["Call", "Reply", "allowed_seconds", "refusal_for"]


@dataclass(frozen=True, slots=True)
class Call:
    """A checked call. `user_id`, `client_id` and `meta` are the broker's word; `params` is JSON, already checked for depth and numbers."""

    method: str
    params: bytes
    timeout_seconds: float
    user_id: str | None
    client_id: str = ""
    correlation_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    transport: Transport = Transport.CENTRIFUGO
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Exactly one of the two: the result as JSON, or an error."""

    result: bytes | None = None
    error: WireError | None = None

    @classmethod
    def of_error(cls, error: RPCError) -> Reply:
        return cls(error=wire_error(error))


def allowed_seconds(asked_ms: float | None, default_seconds: float, longest_seconds: float) -> float:
    """The deadline of a call: what its caller asked for, within the project's limit."""
    return min(default_seconds if asked_ms is None else asked_ms / 1000, longest_seconds)


def refusal_for(decision: Decision, call: Call) -> RPCError | None:
    """The error for a delivery that must not run and has no stored reply; None for one that waits for the running one."""
    if decision.verdict is Verdict.CONFLICT:
        return RPCError("this correlation id belongs to another call", code=RPCErrorCode.VALIDATION_ERROR)
    if decision.verdict is Verdict.UNKNOWN:
        return RPCError(f"{call.method} may have run; its outcome is lost", code=RPCErrorCode.OUTCOME_UNKNOWN)
    return None
