"""What may stand in an event: any data, but for numbers that JSON does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator

__all__ = ["JsonObject"]


def _without_lost_numbers(value: dict[str, Any]) -> dict[str, Any]:
    if not _is_finite(value):
        raise ValueError("NaN and infinite numbers cannot be written as JSON")
    return value


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, cast("Mapping[object, object]", value).values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, cast("list[object]", value)))


JsonObject = Annotated[dict[str, Any], AfterValidator(_without_lost_numbers)]
