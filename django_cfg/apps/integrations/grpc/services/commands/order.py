"""Pure: a command whose end is awaited."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor

__all__ = ["LONGEST_SECONDS", "Order", "checked_seconds", "checked_wait"]

LONGEST_SECONDS = 86_400.0


class Order(NamedTuple):
    client_id: str
    command: Any
    command_id: str
    timeout_seconds: float
    wait_for: WaitFor


def checked_seconds(seconds: float) -> float:
    """Raises ValueError for a time that nobody can wait."""
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:  # pyright: ignore[reportUnnecessaryIsInstance] - a caller's
        text = f"timeout must be above 0 and at most {LONGEST_SECONDS:g} seconds (a day), not {seconds!r:.60}"
        raise ValueError(text)
    return seconds


def checked_wait(wait_for: WaitFor) -> WaitFor:
    """Raises ValueError for what no command can be waited for."""
    if wait_for not in (known := get_args(WaitFor)):
        raise ValueError(f"wait_for must be one of {', '.join(map(repr, known))}, not {wait_for!r}")
    return wait_for
