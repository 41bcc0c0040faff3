"""The fields that every log line about calls carries, so that lines can be found by them."""

from __future__ import annotations

__all__ = ["about"]

LONGEST = 128


def about(*, method: str = "", correlation_id: str = "", server: str = "", client: str = "") -> dict[str, str]:
    """For `extra=`; all four stand in each line, empty where they say nothing. Peers may have chosen the text."""
    return {
        "method": _plain(method),
        "correlation_id": _plain(correlation_id),
        "server": _plain(server),
        "client": _plain(client),
    }


def _plain(text: str) -> str:
    """Without line breaks and other characters that would forge a log."""
    return text[:LONGEST] if text.isascii() and text.isprintable() else ascii(text[:LONGEST])[1:-1][:LONGEST]
