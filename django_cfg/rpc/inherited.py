"""How long the call that runs here has left: what it calls itself has no longer.

After gRPC's deadlines, https://grpc.io/docs/guides/deadlines/: a caller that has stopped waiting needs no more answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from weakref import ref

from django_cfg.rpc.running_call import RunningCall

__all__ = ["run_on_behalf_of", "within_call"]

LEAST_SECONDS = 0.001

_call: ContextVar[Callable[[], RunningCall | None]] = ContextVar("django_cfg_call", default=lambda: None)
"""Weak, for tasks and connections that a handler leaves behind keep its context."""


def run_on_behalf_of(call: RunningCall) -> None:
    """From here on, in this context and in those that begin as copies of it."""
    _call.set(ref(call))


def within_call(timeout_seconds: float) -> float:
    """`timeout_seconds`, or what the call has left for which this runs, if that is less.

    Work that outlives its call has all of its own time.
    """
    call = _call.get()()
    if call is None or call.answered:
        return timeout_seconds
    return min(timeout_seconds, max(LEAST_SECONDS, call.deadline - time.monotonic()))
