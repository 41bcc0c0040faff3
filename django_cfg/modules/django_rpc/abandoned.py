"""Pure: reply lists whose callers have given up, where a late reply may still come. Moments are monotonic seconds."""

from __future__ import annotations

import threading

__all__ = ["AbandonedLists"]

MOST_LISTS = 100
LOOK_SECONDS = 1.0


class AbandonedLists:
    """Of one process, for any thread; the newest hundred."""

    def __init__(self, reply_ttl: float) -> None:
        self._reply_ttl = reply_ttl
        self._until: dict[str, float] = {}
        self._next_look = 0.0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, reply_list: str, now: float) -> None:
        """A reply that comes later than it would last is not looked for."""
        with self._lock:
            self._until[reply_list] = now + self._reply_ttl
            if len(self._until) > MOST_LISTS:
                del self._until[next(iter(self._until))]

    def due(self, now: float) -> list[str]:
        """Where to look now: nowhere, if somebody has looked in the last second."""
        with self._lock:
            if now < self._next_look:
                return []
            self._next_look = now + LOOK_SECONDS
            self._until = {name: until for name, until in self._until.items() if until > now}
            return list(self._until)

    def remove(self, reply_list: str) -> None:
        """Its reply has come."""
        with self._lock:
            self._until.pop(reply_list, None)
