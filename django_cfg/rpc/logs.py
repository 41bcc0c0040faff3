"""The fields that every log line about calls carries, so that lines can be found by them."""

from __future__ import annotations

__all__ = ["about", "printable"]

LONGEST = 128


def about(*, method: str = "", correlation_id: str = "", server: str = "", client: str = "") -> dict[str, str]:
    """For `extra=`; all four stand in each line, empty where they say nothing. Peers may have chosen the text."""
    return {
        "method": _plain(method),
        "correlation_id": _plain(correlation_id),
        "server": _plain(server),
        "client": _plain(client),
    }


def printable(text: str) -> str:
    """Without line breaks and other characters that would forge a log."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]


def _plain(text: str) -> str:
    return printable(text[:LONGEST])[:LONGEST]
