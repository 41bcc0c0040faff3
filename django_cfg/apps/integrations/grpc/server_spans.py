"""Spans of the RPCs that services make; a stream of an agent, which may last for weeks, has none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from django_cfg.rpc.tracing import ENABLED, server_span

__all__ = ["traced"]

Run: TypeAlias = "Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]"

SYSTEM = "grpc"


def traced(run: Run, method: str) -> Run:
    """The same RPC in a span that is a child of its caller's; unchanged where OpenTelemetry is not installed."""
    if not ENABLED:
        return run
    name = method.removeprefix("/")

    async def in_span(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with server_span(name, name, SYSTEM, "", _traceparent(context)) as span:
            try:
                response = await run(request, context)
            except BaseException:
                span.end_with(_status(context) or grpc.StatusCode.UNKNOWN.name)
                raise
            span.end_with(_status(context))
            return response

    return in_span


def _traceparent(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    return next((str(value) for key, value in context.invocation_metadata() or () if key == "traceparent"), "")


def _status(context: Any) -> str:
    """By name; empty while nobody has set one, which grpcio says with a number."""
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) and code is not grpc.StatusCode.OK else ""
