"""Pure: the wildcard patterns of channel names and origins."""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = re.compile(r"\\.|\[!?(?:\\.|[^\]\\])+\]|.", re.DOTALL)
_PLAIN = {"*": ".*", "?": ".", "{": "(?:", "}": ")"}


@lru_cache(maxsize=256)
def compile_glob(pattern: str) -> re.Pattern[str]:
    r"""`*`, `?`, `[a-z]`, `[!a-z]`, `{one,other}`, and `\` before what stands for itself; raises ValueError."""
    pieces: list[str] = []
    depth = 0
    for piece in _PIECE.findall(pattern):
        depth += (piece == "{") - (piece == "}")
        if depth < 0 or piece in ("[", "\\"):
            raise ValueError(f"{pattern!r} is no pattern")
        pieces.append(_translated(piece, depth))
    if depth:
        raise ValueError(f"{pattern!r} is no pattern: a brace is not closed")
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from error


def _translated(piece: str, depth: int) -> str:
    if piece == "," and depth:
        return "|"
    if piece[0] == "[":
        return "[^" + piece[2:] if piece[1] == "!" else piece.replace("[^", r"[\^", 1)
    if piece[0] == "\\":
        return re.escape(piece[1])
    return _PLAIN.get(piece) or re.escape(piece)
