"""A blocking call inside an event loop stops everything there, also the handlers and replies that live in it."""

from __future__ import annotations

import logging

from django_cfg.rpc.logs import about, printable

__all__ = ["warn_of_blocking"]

_told: set[tuple[str, str]] = set()
MOST_TOLD = 1000


def warn_of_blocking(logger: logging.Logger, method: str, remedy: str) -> None:
    """Once for each method."""
    if (method, remedy) in _told or len(_told) >= MOST_TOLD:
        return
    _told.add((method, remedy))
    text = "a call of %s blocks the event loop until it is answered, which it never is by this loop itself: %s"
    logger.warning(text, printable(method), remedy, extra=about(method=method))
