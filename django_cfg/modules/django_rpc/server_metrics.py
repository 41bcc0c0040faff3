"""What Prometheus hears of one served stream, besides the calls themselves, which the core counts."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping

from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.endings import Ending
from django_cfg.rpc import metrics

__all__ = ["StreamMetrics", "TrailingSum"]

PARTS = 60

_entries = metrics.counter(
    "django_cfg_rpc_redis_entries",
    "Stream entries by fate: started, expired, malformed, unauthorized, refused, repeated, recovered_*, lost, dead.",
    "stream",
    "fate",
)
_waits = metrics.histogram(
    "django_cfg_rpc_redis_queue_seconds", "From the moment an entry was added to its start.", "stream"
)
_batches = metrics.histogram(
    "django_cfg_rpc_redis_reply_batch",
    "Entries that ended in one write.",
    "stream",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
_in_flight = metrics.gauge("django_cfg_rpc_redis_in_flight", "Entries read here and not yet answered.", "stream")
_backlog = metrics.gauge("django_cfg_rpc_redis_backlog", "Entries in the stream: waiting and in flight.", "stream")
_backlog_limit = metrics.gauge("django_cfg_rpc_redis_backlog_limit", "Where callers are refused.", "stream")
_dead_letters = metrics.gauge("django_cfg_rpc_redis_dead_letters", "Entries that nobody will run.", "stream")
_reply_bytes = metrics.gauge(
    "django_cfg_rpc_redis_reply_bytes_bound", "The most that replies of this process can hold in Redis now.", "stream"
)
_record_bytes = metrics.gauge(
    "django_cfg_rpc_redis_record_bytes_bound", "The most that its records for repeats can hold in Redis now.", "stream"
)


class TrailingSum:
    """Of what was added in the last so many seconds, or a sixtieth of that more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parts: deque[tuple[float, float]] = deque()

    def add(self, amount: float, now: float) -> None:
        part = self._seconds / PARTS
        if self._parts and now - self._parts[-1][0] < part:
            began, held = self._parts[-1]
            self._parts[-1] = (began, held + amount)
        else:
            self._parts.append((now, amount))

    def total(self, now: float) -> float:
        while self._parts and self._parts[0][0] < now - self._seconds * (1 + 1 / PARTS):
            self._parts.popleft()
        return sum(amount for _, amount in self._parts)


class StreamMetrics:
    """Of one server; its methods need not be called unless metrics.ENABLED."""

    def __init__(self, stream: str, backlog_limit: int, reply_ttl: int) -> None:
        self._stream = stream
        self._told: Counter[str] = Counter()
        self._replies = TrailingSum(reply_ttl)
        self._records = {seconds: TrailingSum(seconds) for seconds in (protocol.KEPT_SECONDS, protocol.KEYED_SECONDS)}
        _backlog_limit.of(stream).set(backlog_limit)
        self._waits, self._batches = _waits.of(stream), _batches.of(stream)

    def started(self, waited_seconds: float) -> None:
        self._waits.observe(max(0.0, waited_seconds))

    def ended(self, batch: Iterable[Ending]) -> None:
        replies, records, count = 0, Counter[int](), 0
        for ending in batch:
            count += 1
            if ending.reply is not None:
                replies += len(ending.reply[1])
            if ending.record is not None:
                records[ending.record[2]] += len(ending.record[1])
        self._batches.observe(count)
        now = time.monotonic()
        self._replies.add(replies, now)
        for seconds, size in records.items():
            self._records[seconds].add(size, now)

    def tell(self, counts: Mapping[str, int], *, in_flight: int, backlog: int, dead_letters: int) -> None:
        """Once in a while; `counts` have only grown since the last time."""
        for fate, count in counts.items():
            _entries.of(self._stream, fate).inc(count - self._told[fate])
            self._told[fate] = count
        now = time.monotonic()
        _in_flight.of(self._stream).set(in_flight)
        _backlog.of(self._stream).set(backlog)
        _dead_letters.of(self._stream).set(dead_letters)
        _reply_bytes.of(self._stream).set(self._replies.total(now))
        _record_bytes.of(self._stream).set(sum(kept.total(now) for kept in self._records.values()))
