"""Pure: the life of one stream. When a ping is due, when silence has lasted too long, how many messages may fail."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig, PingStrategy

__all__ = ["NEVER", "Due", "Ending", "Session"]

NEVER = float("inf")
LATE_SECONDS = 0.25
MORE_SECONDS = 1.0


class Ending(NamedTuple):
    """Why a stream ended: the name of a gRPC status code, and a sentence for the agent."""

    status: str
    sentence: str = ""


class Due(Enum):
    """What the time demands of a live stream."""

    NOTHING = "nothing"
    PING = "ping"


class Session:
    """Times are seconds of one monotonic clock, given by whoever calls."""

    __slots__ = ("_config", "_errors", "_expires_at", "_ping_at", "_unanswered_since", "heard_at", "sent_at")

    def __init__(self, config: BidirectionalStreamingConfig, now: float) -> None:
        self._config = config
        self._errors = 0
        self._unanswered_since: float | None = None
        self._ping_at = now + config.ping_interval if config.is_ping_enabled() else NEVER
        self._expires_at = NEVER if config.connection_timeout is None else now + config.connection_timeout
        self.heard_at = now
        self.sent_at = now

    def heard(self, now: float) -> None:
        """Whatever an agent says is a sign of life, not only what it says to a ping."""
        self.heard_at = now
        self._unanswered_since = None

    def succeeded(self) -> None:
        self._errors = 0

    def failed(self) -> Ending | None:
        """One more message that could not be processed; the ending if it was one too many."""
        self._errors += 1
        most = self._config.max_consecutive_errors
        if not most or self._errors <= most:
            return None
        return Ending("INTERNAL", f"the server failed to process {self._errors} messages in a row")

    @property
    def next_due_at(self) -> float:
        """When `due` is to be asked next; infinite if never."""
        return min(self._ping_at, self._silent_at(), self._expires_at)

    def due(self, now: float) -> Due | Ending:
        """What is to be done now. A server that was itself too busy to ask, or to read, gives the agent more time."""
        if self._unanswered_since is not None and now - self.next_due_at > LATE_SECONDS:
            allowed = self._config.get_effective_ping_timeout()
            self._unanswered_since = max(self._unanswered_since, now + MORE_SECONDS - allowed)
        if now >= self._expires_at:
            return Ending("UNAVAILABLE", f"the stream has reached its {self._config.connection_timeout:g} s: reconnect")
        if now >= self._silent_at():
            return Ending("DEADLINE_EXCEEDED", f"no message for {now - self.heard_at:.1f} s, though pinged")
        if now >= self._next_ping():
            self._pinged(now)
            return Due.PING
        return Due.NOTHING

    def _next_ping(self) -> float:
        if self._config.ping_strategy is PingStrategy.ON_IDLE:
            self._ping_at = max(self._ping_at, self.sent_at + self._config.ping_interval)
        return self._ping_at

    def _pinged(self, now: float) -> None:
        on_grid = self._ping_at + self._config.ping_interval
        self._ping_at = on_grid if on_grid > now else now + self._config.ping_interval
        if self._unanswered_since is None:
            self._unanswered_since = now

    def not_pinged(self, now: float) -> None:
        """The ping that was due at `now` could not be made: no agent leaves that one unanswered."""
        if self._unanswered_since == now:
            self._unanswered_since = None

    def _silent_at(self) -> float:
        if self._unanswered_since is None:
            return NEVER
        return self._unanswered_since + self._config.get_effective_ping_timeout()
