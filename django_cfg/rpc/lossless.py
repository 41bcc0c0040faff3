"""Pure: what pydantic would silently write as something else: numbers that are none as null, secrets as asterisks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import msgspec
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.containers import as_data, held

__all__ = ["refuse_asterisks", "refuse_lost_numbers"]

_ANYTHING = frozenset({"float", "any", "is-instance", "complex", "function-plain", "callable", "call"})
"""Kinds of pydantic's core schemas that can hold a float."""

_BESIDE = frozenset({"metadata", "serialization", "default"})
"""What a node holds that says nothing of the values."""

_STARS = b'"**********"'


def refuse_lost_numbers(value: object, dumped: bytes, model: type[BaseModel] | None = None) -> None:
    """Raises MalformedMessageError where a model had NaN or an infinite number, and `dumped` has null.

    `model` is the one by which a value of a subclass was written.
    """
    if b"null" not in dumped or not (_may_lose_numbers(value) if model is None else _model_may_lose_numbers(model)):
        return
    given = value if model is None else model.__pydantic_serializer__.to_python(value, by_alias=True)
    if _has_lost_number(given, msgspec.json.decode(dumped)):
        raise MalformedMessageError(
            "NaN and infinite numbers cannot be written as JSON; a model that means null by them says so with "
            "model_config = ConfigDict(ser_json_inf_nan='null')"
        )


def refuse_asterisks(value: object, dumped: bytes) -> None:
    """Raises MalformedMessageError where `dumped` has asterisks in place of a secret."""
    if _STARS in dumped and _holds_secret(value):
        raise MalformedMessageError(
            "a SecretStr, SecretBytes or Secret would be sent as asterisks: give its field a serializer that writes "
            "get_secret_value(), or send a str"
        )


def _may_lose_numbers(value: object) -> bool:
    if isinstance(value, BaseModel):
        return _model_may_lose_numbers(type(value))
    return any(map(_may_lose_numbers, held(value)))


@lru_cache(maxsize=1024)
def _model_may_lose_numbers(model: type[BaseModel]) -> bool:
    """Not where the project itself has said how they are written."""
    return "ser_json_inf_nan" not in model.model_config and _may_hold_float(model.__pydantic_core_schema__)


def _may_hold_float(schema: object) -> bool:
    if isinstance(schema, Mapping):
        node = cast("Mapping[str, object]", schema)
        kind = node.get("type")
        if not isinstance(kind, str):  # a configuration, or fields by their names, which may be any words
            return node.get("extra_fields_behavior") == "allow" or any(map(_may_hold_float, node.values()))
        if kind in _ANYTHING or node.get("extra_behavior") == "allow":
            return True
        return any(_may_hold_float(part) for name, part in node.items() if name not in _BESIDE)
    return isinstance(schema, list | tuple) and any(map(_may_hold_float, cast("list[object]", schema)))


def _has_lost_number(value: object, written: object) -> bool:
    """`written` is what has become of `value`; a serializer may have changed the shape, and answers for itself."""
    given = as_data(value)
    if isinstance(given, float):
        return written is None and not math.isfinite(given)
    inner, parts = held(given), held(written)
    return len(inner) == len(parts) and any(map(_has_lost_number, inner, parts))


def _holds_secret(value: object) -> bool:
    plain = as_data(value)
    return isinstance(plain, Secret | SecretStr | SecretBytes) or any(map(_holds_secret, held(plain)))
