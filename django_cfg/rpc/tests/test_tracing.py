"""Spans of calls: the server's is a child of the caller's, and bad headers cost nothing but the parent."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from django_cfg.rpc import tracing
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.running import make_call, make_runner, some_lanes
from django_cfg.rpc.tests.spans import recorded_spans


async def answer(method: str, **changes: Any) -> None:
    async def traced(conn: object, params: object) -> str:
        return format(trace.get_current_span().get_span_context().span_id, "016x")

    async def failing(conn: object, params: object) -> None:
        raise ValueError("no")

    router = MessageRouter()
    router.register_handler("traced", traced)
    router.register_handler("failing", failing)
    with some_lanes(1) as lanes:
        await make_runner(router, lanes=lanes).run(make_call(method, **changes))


async def test_a_servers_span_is_a_child_of_its_callers() -> None:
    with recorded_spans() as spans:
        caller = tracing.start_client_span("traced", "redis", "c1")
        await answer("traced", meta={"traceparent": tracing.traceparent_of(caller)})
        tracing.end_span(caller, "")

    server, client = spans
    assert (server.kind, client.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert server.context.trace_id == client.context.trace_id
    assert server.attributes == {"rpc.system": "centrifugo", "rpc.method": "traced", "rpc.correlation_id": "c1"}
    assert server.status.status_code is StatusCode.UNSET


async def test_a_failure_is_the_spans_own() -> None:
    with recorded_spans() as spans:
        await answer("failing")

    (server,) = spans
    assert server.status.status_code is StatusCode.ERROR
    assert server.attributes["error.type"] == "application_error"


async def test_a_name_that_no_method_has_names_no_span() -> None:
    with recorded_spans() as spans:
        await answer("made.up.by.somebody")

    assert [span.name for span in spans] == ["unknown"]


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", 7, {"a": 1}, "ü" * 5000])
async def test_a_header_that_cannot_be_read_starts_a_trace(header: Any) -> None:
    with recorded_spans() as spans:
        await answer("traced", meta={"traceparent": header})

    (server,) = spans
    assert server.parent is None


def test_nobody_who_records_means_no_header() -> None:
    assert tracing.traceparent_of(None) == ""
