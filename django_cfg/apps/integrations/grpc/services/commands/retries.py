"""Pure: whether and when a call that has certainly not run is made once more."""

from __future__ import annotations

__all__ = ["Retries"]

_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5

Again = tuple[float, float]
"""After how many seconds, and with how many for the answer."""


class Retries:
    """Of one call, begun at that time of a monotonic clock."""

    __slots__ = ("_begun", "_pause", "_reconnected")

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._pause = _PAUSE_SECONDS
        self._reconnected = False

    def after_no_connection(self, call_seconds: float) -> Again | None:
        """Once: whoever dials again has waited for a connection of its own."""
        if self._reconnected:
            return None
        self._reconnected = True
        return 0.0, call_seconds

    def after_refusal(self, now: float, call_seconds: float) -> Again | None:
        """While the call has time: streams become free as other calls end."""
        pause, left = self._pause, self._begun + call_seconds - now
        self._pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return (pause, left - pause) if left > 2 * pause else None
