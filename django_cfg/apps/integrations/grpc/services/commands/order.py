"""Pure: a command whose end is awaited."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor

__all__ = ["Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """Raises ValueError for a time that nobody can wait."""

    client_id: str
    command: Any
    command_id: str
    timeout_seconds: float
    wait_for: WaitFor

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds < math.inf:
            raise ValueError(f"timeout must be a number of seconds above 0, not {self.timeout_seconds!r}")
