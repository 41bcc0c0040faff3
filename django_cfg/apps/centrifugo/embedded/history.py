"""Pure: one channel's publications, trimmed by number and age; offsets count on for as long as the epoch lasts."""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from .protocol import Publication, StreamPosition


class Version(msgspec.Struct, frozen=True):
    """The application's own count of a channel's states; 0 is none. Numbers are compared within one `epoch`."""

    number: int = 0
    epoch: str = ""

    def outdated_by(self, latest: Version) -> bool:
        """Whether `latest` is the same or a newer one; without an epoch any epoch compares."""
        return 0 < self.number <= latest.number and self.epoch in ("", latest.epoch)


UNVERSIONED = Version()


class Stream:
    """A history window. Times are Unix seconds; the position outlives the publications."""

    __slots__ = ("_items", "epoch", "expires_at", "removed_at", "top", "version")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.top = 0
        self.expires_at = 0.0
        self.removed_at = 0.0
        self.version = UNVERSIONED
        self._items: deque[Publication] = deque()

    def __len__(self) -> int:
        """How many publications are kept."""
        return len(self._items)

    @property
    def position(self) -> StreamPosition:
        """The newest."""
        return StreamPosition(self.top, self.epoch)

    def add(self, publication: Publication, size: int) -> None:
        """`publication.offset` is `top` + 1."""
        self.top = publication.offset
        self._items.append(publication)
        while len(self._items) > size:
            self._items.popleft()

    def clear(self) -> None:
        """Drops the publications and keeps the position."""
        self._items.clear()

    def read(self, since: StreamPosition | None, limit: int, reverse: bool) -> list[Publication]:
        """Oldest first, or newest first when `reverse`; a negative limit is none."""
        if not limit or not self._items:
            return []
        start = self._start(since, reverse)
        if start is None:
            return []
        stop = None if limit < 0 else limit
        if reverse:
            return list(islice(reversed(self._items), len(self._items) - 1 - start, None))[:stop]
        return list(islice(self._items, start, None))[:stop]

    def _start(self, since: StreamPosition | None, reverse: bool) -> int | None:
        if since is None:
            return len(self._items) - 1 if reverse else 0
        wanted = since.offset + (-1 if reverse else 1)
        if wanted > self.top:
            return None
        index = wanted - self._items[0].offset
        if index < 0:
            return None if reverse else 0
        return index if index < len(self._items) else None
