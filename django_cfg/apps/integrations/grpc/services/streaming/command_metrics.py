"""What Prometheus and OpenTelemetry hear of each command that somebody waits for."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandResult
from django_cfg.rpc import metrics, tracing

__all__ = ["OBSERVED", "observed"]

OBSERVED = metrics.ENABLED or tracing.ENABLED
"""Whether anybody would hear of a command."""

Result = TypeVar("Result", bound=CommandResult[Any])

SYSTEM = "grpc"
SPAN = "execute_command"
RAISED = "error"

_commands = metrics.counter("django_cfg_grpc_commands", "Commands executed, by outcome.", "outcome")
_seconds = metrics.histogram("django_cfg_grpc_command_duration_seconds", "From the order to its outcome.", "outcome")


async def observed(command_id: str, execution: Awaitable[Result]) -> Result:
    """Its result; counted and timed, and a span where somebody records spans."""
    span = tracing.start_client_span(SPAN, SYSTEM, command_id)
    outcome = RAISED
    try:
        result = await execution
        outcome = "" if result.ok else str(result.outcome)
        _commands.of(str(result.outcome)).inc()
        _seconds.of(str(result.outcome)).observe(result.elapsed_seconds)
        return result
    finally:
        tracing.end_span(span, outcome)
