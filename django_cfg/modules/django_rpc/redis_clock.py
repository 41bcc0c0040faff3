"""Pure: Redis's clock as seen from here, so that deadlines need no clock of the caller.

An entry's id begins with the millisecond, on Redis's clock, in which it was added.
"""

from __future__ import annotations

from collections import deque

__all__ = ["RedisClock", "added_seconds", "remaining_seconds"]

SAMPLES = 16


class RedisClock:
    """The offset from a monotonic clock, from the best of the latest round trips."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._offset: float | None = None

    def sample(self, sent: float, received: float, redis_seconds: float) -> None:
        """One `TIME` that was asked at `sent` and answered at `received`, both monotonic seconds."""
        self._samples.append((received - sent, redis_seconds - (sent + received) / 2))
        _, self._offset = min(self._samples)

    def reset(self) -> None:
        """After a reconnect: it may be another server, with another clock."""
        self._samples.clear()
        self._offset = None

    def now(self, monotonic: float) -> float:
        """Seconds on Redis's clock; raises ValueError before the first sample."""
        if self._offset is None:
            raise ValueError("Redis has not yet been asked for its time")
        return monotonic + self._offset


def added_seconds(entry_id: str) -> float:
    """When an entry was added; 0 for an id that a hand has written without a time."""
    milliseconds = entry_id.partition("-")[0]
    return int(milliseconds) / 1000


def remaining_seconds(entry_id: str, timeout_seconds: float, redis_now: float) -> float:
    """Of the caller's patience; negative when it has gone."""
    return added_seconds(entry_id) + timeout_seconds - redis_now
