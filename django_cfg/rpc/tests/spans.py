"""Spans as the SDK of OpenTelemetry records them, in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from django_cfg.rpc import tracing


@contextmanager
def recorded_spans() -> Generator[list[Any]]:
    """Filled at the end of the block with the spans that ended in it, in the order of their ends.

    The process's own provider, which it can never get rid of, is not set: later tests are to run without one.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans: list[Any] = []
    with mock.patch.object(tracing, "_tracer", provider.get_tracer("django_cfg")):
        yield spans
    spans.extend(exporter.get_finished_spans())
    provider.shutdown()
