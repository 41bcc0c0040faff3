"""Pure: reply lists whose callers have given up, where a late reply may still come. Moments are monotonic seconds."""

from __future__ import annotations

import threading
from typing import NamedTuple

__all__ = ["AbandonedLists"]

MOST_LISTS = 100
LOOK_SECONDS = 1.0


class _Abandoned(NamedTuple):
    until: float
    missing: int


class AbandonedLists:
    """Of one process, for any thread; the newest hundred."""

    def __init__(self, reply_ttl: float) -> None:
        self._reply_ttl = reply_ttl
        self._lists: dict[str, _Abandoned] = {}
        self._next_look = 0.0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._lists)

    def add(self, reply_list: str, now: float, missing: int = 1) -> None:
        """So many replies may come there still. One that comes later than it would last is not looked for."""
        with self._lock:
            self._lists[reply_list] = _Abandoned(now + self._reply_ttl, missing)
            if len(self._lists) > MOST_LISTS:
                del self._lists[next(iter(self._lists))]

    def due(self, now: float) -> list[str]:
        """Where to look now: nowhere, if somebody has looked in the last second."""
        with self._lock:
            if now < self._next_look:
                return []
            self._next_look = now + LOOK_SECONDS
            self._lists = {name: left for name, left in self._lists.items() if left.until > now}
            return list(self._lists)

    def came(self, reply_list: str, replies: int) -> None:
        """So many of its replies have been removed."""
        with self._lock:
            left = self._lists.get(reply_list)
            if left is not None and left.missing > replies:
                self._lists[reply_list] = left._replace(missing=left.missing - replies)
            else:
                self._lists.pop(reply_list, None)
