"""What a handler receives as `conn`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Connection"]


class Connection(msgspec.Struct, frozen=True):
    """Who calls, from where, and until when; every identity field comes from the broker, none from the message.

    `user_id` is text, as the broker carries it, and None for a service. `meta` is the token's server-side data (the JWT
    claim `meta`). `deadline` is in seconds of `time.monotonic()`.
    """

    user_id: str | None
    client_id: str = ""
    transport: str = ""
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    method: str = ""
    correlation_id: str = ""
    deadline: float | None = None
    is_service: bool = False

    @property
    def remaining_seconds(self) -> float | None:
        """Time left until the caller stops waiting; None without a deadline, never negative."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
