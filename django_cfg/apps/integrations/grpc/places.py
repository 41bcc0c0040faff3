"""Pure: how many agents' streams there may be at once, and who may come although that many are there."""

from __future__ import annotations

from collections import Counter

__all__ = ["Places"]


class Places:
    """One for each stream; an agent that has proved who it is may replace its own stream where no place is left."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._of: Counter[str] = Counter()

    def take(self, agent_id: str | None) -> bool:
        """Whether there was one; None is an agent that proves nothing."""
        if self._taken >= self._most and (agent_id is None or self._of[agent_id] != 1):
            return False
        self._taken += 1
        if agent_id is not None:
            self._of[agent_id] += 1
        return True

    def give_back(self, agent_id: str | None) -> None:
        self._taken -= 1
        if agent_id is not None:
            self._of[agent_id] -= 1
            if not self._of[agent_id]:
                del self._of[agent_id]
