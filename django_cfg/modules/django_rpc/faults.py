"""Pure: a failure of Redis as it may stand in a log."""

from __future__ import annotations

from django_cfg.rpc.logs import printable

__all__ = ["shown"]

LONGEST = 300
_QUOTED = ", with args beginning with:"
"""Redis so quotes a command that it does not know, which may be AUTH with its password."""


def shown(error: BaseException) -> str:
    """Class and text: the `repr` of redis-py 8 has no text."""
    text = str(error).partition(_QUOTED)[0].strip()
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)[:LONGEST]
