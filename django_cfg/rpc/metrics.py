"""Counters, gauges and histograms for Prometheus; without the package prometheus-client they count nothing.

They are in its default registry, so that a project that exposes that registry already exposes these too.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

__all__ = [
    "ENABLED",
    "INSTALL_HINT",
    "OTHER",
    "SECONDS",
    "Metric",
    "Series",
    "counter",
    "exposition",
    "gauge",
    "histogram",
]

INSTALL_HINT = 'pip install "django-cfg-realtime[metrics]"'
ENABLED = find_spec("prometheus_client") is not None

MOST_SERIES = 1000
OTHER = "other"
"""Stands for every label value after the first so many of a metric: whoever chooses them must not fill the memory."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of a duration."""

_prometheus: Any = import_module("prometheus_client") if ENABLED else None


class Series(Protocol):
    """One metric for one choice of label values."""

    def inc(self, amount: float = 1) -> None: ...

    def set(self, value: float) -> None: ...

    def observe(self, value: float) -> None: ...


class Metric(Protocol):
    def of(self, *values: str) -> Series:
        """The series of these label values, which are in the order of the metric's labels."""
        ...


class _Kept:
    """Keeps the series that it has given out: the library's own look-up costs more than counting."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._series: dict[tuple[str, ...], Any] = {}

    def of(self, *values: str) -> Series:
        series: Series | None = self._series.get(values)
        return self._new(values) if series is None else series

    def _new(self, values: tuple[str, ...]) -> Series:
        if len(self._series) >= MOST_SERIES:
            values = (OTHER,) * len(values)
        made: Any = self._metric.labels(*values) if values else self._metric
        series: Series = self._series.setdefault(values, made)
        return series


class _Nothing:
    def of(self, *values: str) -> _Nothing:
        return self

    def inc(self, amount: float = 1) -> None:
        """Counts nothing."""

    def set(self, value: float) -> None:
        """Keeps nothing."""

    def observe(self, value: float) -> None:
        """Observes nothing."""


_NOTHING = _Nothing()


def counter(name: str, text: str, *labels: str) -> Metric:
    """`name` without `_total`, which the exposition adds."""
    return _Kept(_prometheus.Counter(name, text, labels)) if ENABLED else _NOTHING


def gauge(name: str, text: str, *labels: str) -> Metric:
    """Of several processes that share their numbers, each has its own series."""
    return _Kept(_prometheus.Gauge(name, text, labels)) if ENABLED else _NOTHING


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    return _Kept(_prometheus.Histogram(name, text, labels, buckets=buckets)) if ENABLED else _NOTHING


def exposition() -> bytes | None:
    """Everything in the default registry as text for Prometheus; None without the package."""
    if not ENABLED:
        return None
    text: bytes = _prometheus.generate_latest()
    return text
