"""Pure: which commands an agent refuses because they come too late, or are meant for another stream."""

from __future__ import annotations

import math

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2

__all__ = ["Admission"]

WINDOW_SECONDS = 60.0


class Admission:
    """Of one stream. Times are seconds of the agent's monotonic clock.

    The two clocks need not agree: a message is late by how much longer it took than the fastest one of the last minute
    or two. The first message with an epoch says which one the stream has.
    """

    def __init__(self, agent_id: str) -> None:
        self._agent_id = agent_id
        self.epoch: int | None = None
        self._window_began = -math.inf
        self._fastest = self._fastest_before = math.inf

    def late_seconds(self, message: pb2.Command, now: float) -> float:
        """To be asked once for each message, as it comes; 0 for one that does not say when it was sent."""
        self.epoch = self.epoch or message.epoch or None
        if not message.sent_at_ms:
            return 0.0
        took = now - message.sent_at_ms / 1000
        if now - self._window_began > WINDOW_SECONDS:
            self._window_began, self._fastest_before, self._fastest = now, self._fastest, took
        self._fastest = min(self._fastest, took)
        return took - min(self._fastest, self._fastest_before)

    def refusal(self, command: pb2.Command, late_seconds: float) -> str:
        """Why it must not run; empty if it may."""
        if command.agent_id != self._agent_id:
            return "the command is for another agent"
        if command.epoch != self.epoch:
            return "the command is for another stream of this agent"
        if not command.command_id:
            return "the command has no id"
        if command.HasField("expires_in_ms") and late_seconds * 1000 >= command.expires_in_ms:
            return f"the command has expired: it came, or began, {late_seconds:.1f} s late"
        return ""
