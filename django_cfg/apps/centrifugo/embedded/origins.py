"""Pure: which web pages may open a connection."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from .globs import compile_glob


def origin_allowed(origin: str, host: str, patterns: Sequence[str]) -> bool:
    """Programs send no origin; pages of the server itself are always welcome; others must fit a pattern."""
    if not origin:
        return True
    if host and urlsplit(origin).netloc.lower() == host.lower():
        return True
    return any(compile_glob(pattern.lower()).fullmatch(origin.lower()) for pattern in patterns)
