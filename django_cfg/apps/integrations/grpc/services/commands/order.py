"""Pure: a command whose end is awaited."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor

__all__ = ["Order", "checked_seconds"]


class Order(NamedTuple):
    client_id: str
    command: Any
    command_id: str
    timeout_seconds: float
    wait_for: WaitFor


def checked_seconds(seconds: float) -> float:
    """Raises ValueError for a time that nobody can wait."""
    if not 0 < seconds < math.inf:
        raise ValueError(f"timeout must be a number of seconds above 0, not {seconds!r}")
    return seconds
