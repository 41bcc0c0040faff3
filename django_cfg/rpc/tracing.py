"""OpenTelemetry spans around calls: the API alone, and only where it is installed and a provider is set up."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["ENABLED", "ServerSpan", "end_span", "server_span", "start_client_span", "traceparent_of"]


def _api() -> Any:
    """A folder `opentelemetry` alone may belong to another distribution of that namespace."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
        return None
    return import_module("opentelemetry.trace")


_trace: Any = _api()
ENABLED = _trace is not None
_tracer: Any = _trace.get_tracer("django_cfg") if ENABLED else None
_propagator: Any = (
    import_module("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator() if ENABLED else None
)


def start_client_span(method: str, system: str, correlation_id: str) -> Any:
    """Of a call that this process makes, under the current span; None when nobody records it."""
    if not ENABLED:
        return None
    span: Any = _tracer.start_span(method, kind=_trace.SpanKind.CLIENT)
    if not span.get_span_context().is_valid:
        return None
    _describe(span, method, system, correlation_id)
    return span


def traceparent_of(span: Any) -> str:
    """The header of W3C Trace Context that makes the other side's span a child of this one; empty for None."""
    if span is None:
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, _trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def end_span(span: Any, error_code: str) -> None:
    """`error_code` is empty for a call that succeeded; for None there is nothing to do."""
    if span is None:
        return
    _set_outcome(span, error_code)
    span.end()


class ServerSpan:
    """Of one call that this process answers."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def end_with(self, error_code: str) -> None:
        """Empty for success."""
        if self._span is not None:
            _set_outcome(self._span, error_code)


_NO_SPAN = nullcontext(ServerSpan(None))


def server_span(
    name: str, method: str, system: str, correlation_id: str, traceparent: str
) -> AbstractContextManager[ServerSpan]:
    """Current meanwhile; a child of the caller's span where `traceparent`, a peer's word, can be read."""
    if not ENABLED:
        return _NO_SPAN
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    span: Any = _tracer.start_span(name, parent, kind=_trace.SpanKind.SERVER)
    if not span.get_span_context().is_valid:
        return _NO_SPAN
    _describe(span, method, system, correlation_id)
    return _current(span)


@contextmanager
def _current(span: Any) -> Generator[ServerSpan]:
    with _trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield ServerSpan(span)


def _describe(span: Any, method: str, system: str, correlation_id: str) -> None:
    span.set_attribute("rpc.system", system)
    span.set_attribute("rpc.method", method)
    if correlation_id:
        span.set_attribute("rpc.correlation_id", correlation_id)


def _set_outcome(span: Any, error_code: str) -> None:
    if error_code:
        span.set_attribute("error.type", error_code)
        span.set_status(_trace.StatusCode.ERROR)
