"""Pure: what one connection still has to be sent, bounded in bytes."""

from __future__ import annotations


class Outbox:
    """Encoded messages, oldest first."""

    __slots__ = ("_limit", "_messages", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: list[bytes] = []
        self._size = 0

    def put(self, message: bytes) -> bool:
        """False when that is more than the limit: the reader is too slow, and nothing is kept."""
        self._size += len(message)
        if self._size > self._limit:
            self.take()
            return False
        self._messages.append(message)
        return True

    def take(self) -> list[bytes]:
        """Everything, to be sent in one frame."""
        messages, self._messages, self._size = self._messages, [], 0
        return messages
