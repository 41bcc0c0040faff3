"""Pure: JSON read as leniently as Centrifugo reads it, and payloads kept as the bytes they came in."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw

from django_cfg.rpc.validation import nests_deeper

_T = TypeVar("_T")

MAX_DEPTH = 500
"""Far above what handlers are given; browsers and services can read as much, too."""

_LONE_SURROGATE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_NULL = b"null"

_encoder = msgspec.json.Encoder()
_raw = msgspec.json.Decoder(Raw)
_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_first = json.JSONDecoder()


def decode_json(data: bytes, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """None for what the decoder refuses; null is the same as nothing, except in payloads, which are `Raw`.

    Half characters, which JavaScript may send, become U+FFFD.
    """
    value = _decode(data, decoder)
    if value is None and b"\\u" in data:
        data = _LONE_SURROGATE.sub(_whole_character, data)
        value = _decode(data, decoder)
    if value is None and _NULL in data:
        value = _decode(_without_nulls(data, decoder.type), decoder)
    return value


def decode_first_json(data: bytes, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """As `decode_json`, for the first value alone: whatever follows it is not looked at."""
    value = decode_json(data, decoder)
    if value is not None:
        return value
    text = data.decode().lstrip(" \t\r\n")
    try:
        end = _first.raw_decode(text)[1]
    except (ValueError, RecursionError):
        return None
    return decode_json(text[:end].encode(errors="surrogatepass"), decoder) if end < len(text) else None


def decode_base64_json(text: str) -> Raw | None:
    """None when it is not base64, or the bytes in it are not JSON."""
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        return None
    return decode_json(decoded, _raw) if is_utf8(decoded) else None


def is_utf8(data: bytes) -> bool:
    """Opaque payloads are not looked at, but what is no UTF-8 could not be sent on as text."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeError:
        return False
    return True


def one_line(data: bytes) -> bytes:
    """Valid JSON without line breaks, which would end the message early on the wire."""
    if b"\n" in data or b"\r" in data:
        return msgspec.json.format(data, indent=-1)
    return data


def _decode(data: bytes, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    try:
        value = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return None if nests_deeper(data, MAX_DEPTH) else value


def _whole_character(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match["lone"] else match[0]


def _without_nulls(data: bytes, kind: Any) -> bytes:
    """Drops the members that are null wherever `kind` has a structure; anything else stays as it is."""
    structure = _structure(kind)
    if structure is None:
        return data
    if data.strip() == _NULL:
        return b"{}" if _is_struct(structure) else data
    if get_origin(structure) is list:
        items = _decode(data, _items)
        return data if items is None else _encoder.encode([_cleaned(i, get_args(structure)[0]) for i in items])
    members = _decode(data, _members)
    if members is None:
        return data
    if not _is_struct(structure):
        return _encoder.encode({name: _cleaned(raw, get_args(structure)[1]) for name, raw in members.items()})
    kinds = _kinds(structure)
    kept = {name: raw for name, raw in members.items() if name in kinds}
    return _encoder.encode(
        {n: _cleaned(raw, kinds[n]) for n, raw in kept.items() if bytes(raw) != _NULL or _is_opaque(kinds[n])}
    )


def _cleaned(raw: Raw, kind: Any) -> Raw:
    return Raw(_without_nulls(bytes(raw), kind))


@cache
def _kinds(structure: Any) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(structure)}


def _structure(kind: Any) -> Any:
    """The struct, list or dict among what `kind` allows."""
    return next((k for k in _alternatives(kind) if _is_struct(k) or get_origin(k) in (list, dict)), None)


def _is_opaque(kind: Any) -> bool:
    return Raw in _alternatives(kind)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return (kind,) if _is_struct(kind) or get_origin(kind) in (list, dict) else get_args(kind) or (kind,)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
