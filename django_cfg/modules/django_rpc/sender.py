"""Pure: who sent a request that cannot be run, as far as it says: so that they are told, and nobody else is.

What an end user may have written lies deeper in the payload, and counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

__all__ = ["LONGEST_ID", "Sender", "read_sender"]

LONGEST_ID = 200
SCANNED_BYTES = 1024 * 1024
"""Of what is no JSON."""

_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_TOKEN = re.compile(_STRING + rb"(?:\s*:\s*" + _STRING + rb")?|([{\[])|([}\]])", re.DOTALL)


class Sender(NamedTuple):
    """`reply_to` is None, and `correlation_id` is, where there is none that can be used."""

    reply_to: str | None
    correlation_id: str | None
    typed: bool


class _Envelope(msgspec.Struct):
    reply_to: Any = None
    correlation_id: Any = None
    cid: Any = None
    type: Any = None


def read_sender(raw: bytes) -> Sender:
    """Of a payload of any size and shape."""
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = _Envelope(**dict(_texts(raw[:SCANNED_BYTES])))
    return Sender(
        _usable(envelope.reply_to), _usable(envelope.correlation_id) or _usable(envelope.cid), envelope.type == "rpc"
    )


def _texts(raw: bytes) -> Iterator[tuple[str, str]]:
    """The texts of an envelope that is no JSON, by their names."""
    depth = 0
    for token in _TOKEN.finditer(raw):
        depth += (token[3] is not None) - (token[4] is not None)
        if depth == 1 and token[2] is not None and (name := _text(token[1])) in _Envelope.__struct_fields__:
            yield name, _text(token[2])


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _usable(given: Any) -> str | None:
    return given if isinstance(given, str) and 0 < len(given) <= LONGEST_ID and "\\" not in given else None
