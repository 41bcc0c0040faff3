"""What Prometheus hears of the calls that this process makes over Redis."""

from __future__ import annotations

from django_cfg.errors import NoResponders, RPCError, RPCErrorCode, RPCOverloadedError
from django_cfg.rpc import metrics
from django_cfg.rpc.call import Reply
from django_cfg.rpc.call_metrics import UNKNOWN_METHOD, outcome_label

__all__ = ["count_made", "fused_calls", "outcome_code", "shared_calls", "unknown_replies"]

_calls = metrics.counter(
    "django_cfg_rpc_client_calls",
    "Calls made, by outcome: ok, overloaded, no_server, sent (nobody waits), cancelled, or the error's code.",
    "method",
    "code",
)
_seconds = metrics.histogram(
    "django_cfg_rpc_client_call_duration_seconds", "From the start of a call to its outcome.", "method"
)
_paths = metrics.counter(
    "django_cfg_rpc_client_path", "Calls by the way they took: a connection of their own, or the shared one.", "path"
)
fused_calls, shared_calls = _paths.of("fused"), _paths.of("shared")

unknown_replies = metrics.counter(
    "django_cfg_rpc_client_unknown_replies", "Replies dropped: too late, unreadable, or to nobody."
).of()


def count_made(method: str, code: str, seconds: float) -> None:
    """`code` as `outcome_code` gives it."""
    if code == RPCErrorCode.METHOD_NOT_FOUND:
        method = UNKNOWN_METHOD
    _calls.of(method, code).inc()
    _seconds.of(method).observe(seconds)


def outcome_code(outcome: Reply | RPCError) -> str:
    """The two refusals of Redis itself apart from the server's own."""
    if isinstance(outcome, Reply):
        return outcome_label(outcome)
    if isinstance(outcome, RPCOverloadedError):
        return "overloaded"
    return "no_server" if isinstance(outcome, NoResponders) else str(outcome.code)
