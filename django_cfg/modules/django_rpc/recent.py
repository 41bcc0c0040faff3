"""When things happened that are not long past: the newest thousands of them."""

from __future__ import annotations

__all__ = ["Recent"]


class Recent:
    """Remembers at least the newest `count`, at most twice as many.

    Two generations, the older dropped as a whole: a dictionary from which the first key is removed again and again
    walks over the gaps that this leaves.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._newer: dict[str, float] = {}
        self._older: dict[str, float] = {}

    def add(self, key: str, moment: float) -> None:
        self._newer[key] = moment
        if len(self._newer) >= self._count:
            self._older, self._newer = self._newer, {}

    def get(self, key: str) -> float | None:
        """The moment that was added with the key."""
        moment = self._newer.get(key)
        return self._older.get(key) if moment is None else moment
