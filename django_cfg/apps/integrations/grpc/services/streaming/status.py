"""What is known of a connected agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["AgentStatus"]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """A snapshot. The times are aware and in UTC; `peer` is gRPC's text for the other end of the connection."""

    agent_id: str
    epoch: int
    connected_at: datetime
    peer: str
    queue_depth: int
    pending_commands: int
    last_heard_seconds: float
    last_ack_at: datetime | None
