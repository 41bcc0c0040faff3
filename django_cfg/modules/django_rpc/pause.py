"""How long to wait before trying again."""

from __future__ import annotations

import random

__all__ = ["backoff_seconds"]

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 1.0


def backoff_seconds(attempt: int) -> float:
    """Before attempt 1, 2, ...: doubling, with jitter."""
    delay: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(attempt, 10))
    return delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
