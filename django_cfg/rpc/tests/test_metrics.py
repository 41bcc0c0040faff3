"""What is counted, and that nobody outside can make it grow without end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client import REGISTRY

from django_cfg.rpc import metrics
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.running import make_call, make_runner, some_lanes


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_call_is_counted_by_its_method_and_its_outcome() -> None:
    async def handler(conn: object, params: object) -> object:
        if params:
            raise ValueError("no")
        return params

    def calls(code: str, method: str = "counted.method") -> float:
        return value("django_cfg_rpc_calls_total", transport="centrifugo", method=method, code=code)

    before = calls("method_not_found", "unknown")
    router = MessageRouter()
    router.register_handler("counted.method", handler)
    with some_lanes(1) as lanes:
        runner = make_runner(router, lanes=lanes)
        await runner.run(make_call("counted.method"))
        await runner.run(make_call("counted.method", b'{"a":1}'))
        await runner.run(make_call("a.name.that.somebody.made.up"))

    assert calls("ok") == 1
    assert calls("application_error") == 1
    assert calls("method_not_found", "unknown") == before + 1
    labels = {"transport": "centrifugo", "method": "counted.method"}
    assert value("django_cfg_rpc_call_duration_seconds_count", **labels) == 2
    assert b"made.up" not in (metrics.exposition() or b"")


def test_the_series_of_a_metric_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 2)
    counter = metrics.counter("bounded_for_a_test", "help", "letter")

    for name in ("a", "b", "c", "d"):
        counter.of(name).inc()

    assert value("bounded_for_a_test_total", letter="a") == 1
    assert value("bounded_for_a_test_total", letter="other") == 2
    assert REGISTRY.get_sample_value("bounded_for_a_test_total", {"letter": "c"}) is None


WITHOUT = """
import sys
from importlib import util
found = util.find_spec
missing = ("prometheus_client", "opentelemetry")
util.find_spec = lambda name, package=None: None if name.partition(".")[0] in missing else found(name, package)
from django_cfg.rpc import metrics, tracing
metrics.counter("a", "b", "c").of("d").inc()
metrics.gauge("e", "f").of().set(1)
metrics.histogram("g", "h").of().observe(1)
assert metrics.exposition() is None
assert tracing.start_client_span("m", "s", "c") is None
with tracing.server_span("m", "m", "s", "c", "") as span:
    span.end_with("timeout")
assert not [name for name in sys.modules if name.startswith(("prometheus", "opentelemetry"))]
"""


def test_without_the_packages_nothing_is_imported_and_nothing_fails() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
