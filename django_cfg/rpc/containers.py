"""Pure: what a caller's models and containers hold, beside the JSON that has become of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel

__all__ = ["as_data", "held"]


def as_data(value: object) -> object:
    """A model's fields by alias; anything else as it is."""
    return value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value


def held(value: object) -> list[object]:
    """What a container holds, in the order in which it is written; nothing for other values."""
    if isinstance(value, Mapping):
        return list(cast("Mapping[object, object]", value).values())
    return list(cast("list[object]", value)) if isinstance(value, list | tuple | set | frozenset) else []
