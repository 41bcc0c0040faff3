"""What a service has seen since it was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

__all__ = ["StreamCounts"]


@dataclass(slots=True)
class StreamCounts:
    """Plain integers that only grow: the one place that metrics read."""

    streams: int = 0
    refused_streams: int = 0
    superseded_streams: int = 0
    silent_streams: int = 0
    messages: int = 0
    failed_messages: int = 0
    refused_reports: int = 0
    pings: int = 0
    undelivered_commands: int = 0
    ended: Counter[str] = field(default_factory=Counter[str])
    """Streams that have ended, by the name of their status."""

    def events(self) -> dict[str, int]:
        """All but `ended`."""
        return {name: count for name, count in asdict(self).items() if name != "ended"}
