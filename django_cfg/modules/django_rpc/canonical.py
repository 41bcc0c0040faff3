"""Pure: parameters of calls with an idempotency key, alike whoever writes them: a retry is another process's text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeGuard, cast

import msgspec

from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.containers import as_data, held

__all__ = ["canonical", "sort_sets"]


def canonical(params: bytes) -> bytes:
    """Sorted keys, and one spelling for each number; `params` holds no number out of range."""
    try:
        return _encoder.encode(_decoder.decode(params))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("the parameters are not valid JSON") from error


def sort_sets(params: object, dumped: bytes) -> bytes:
    """`params` as JSON, where the elements of sets stand in an order that does not depend on the process."""
    if not _holds_set(params):
        return dumped
    return msgspec.json.encode(_with_sorted_sets(params, msgspec.json.decode(dumped)))


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number.normalize()


_decoder = msgspec.json.Decoder(float_hook=_number)
_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def _is_set(value: object) -> TypeGuard[set[Any] | frozenset[Any]]:
    return isinstance(value, set | frozenset)


def _holds_set(value: object) -> bool:
    plain = as_data(value)
    return _is_set(plain) or any(map(_holds_set, held(plain)))


def _with_sorted_sets(value: object, written: object) -> object:
    """`written` is what `value` has become; where a serializer has changed the shape, it stays as it is."""
    plain = as_data(value)
    inner = held(plain)
    if isinstance(written, list):
        elements = cast("list[object]", written)
        if _is_set(plain):
            return sorted(elements, key=_encoder.encode)
        return list(map(_with_sorted_sets, inner, elements)) if len(inner) == len(elements) else elements
    if isinstance(written, dict):
        named = cast("dict[str, object]", written)
        parts = map(_with_sorted_sets, inner, named.values())
        return dict(zip(named, parts, strict=True)) if len(inner) == len(named) else named
    return written
