"""What Prometheus hears of each call that this process has answered, whatever transport it came by."""

from __future__ import annotations

from django_cfg.rpc import metrics
from django_cfg.rpc.call import Call, Reply

__all__ = ["OK", "UNKNOWN_METHOD", "count_answered", "outcome_label"]

OK = "ok"
UNKNOWN_METHOD = "unknown"
"""Stands for every name that no method has: callers may send any."""

_calls = metrics.counter(
    "django_cfg_rpc_calls", "Calls answered, by outcome: ok, or the error's code.", "transport", "method", "code"
)
_seconds = metrics.histogram(
    "django_cfg_rpc_call_duration_seconds", "From the start of a call to its reply.", "transport", "method"
)


def count_answered(call: Call, reply: Reply, seconds: float, *, known: bool) -> None:
    """`known`: there is a method of that name."""
    method = call.method if known else UNKNOWN_METHOD
    _calls.of(call.transport, method, outcome_label(reply)).inc()
    _seconds.of(call.transport, method).observe(seconds)


def outcome_label(reply: Reply) -> str:
    return OK if reply.error is None else reply.error.code
