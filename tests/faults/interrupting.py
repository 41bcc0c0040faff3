"""CONTROL-C, again and again, until a server has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["GIVEN_UP", "press_until_ended"]

GIVEN_UP = 130
BOUND_SECONDS = 20.0


def press_until_ended(interrupt: Callable[[], object], status: Callable[[], int | None]) -> float:
    """How many seconds that took; twice at once, as a terminal and a parent do, and then as somebody impatient does."""
    begun = time.monotonic()
    interrupt()
    while status() is None:
        assert time.monotonic() - begun < BOUND_SECONDS, "it goes on"
        interrupt()
        time.sleep(0.1)
    assert status() == GIVEN_UP
    return time.monotonic() - begun
