"""What a JSON value is, told to the type checkers."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypeIs

__all__ = ["is_array", "is_object"]


def is_array(value: Any) -> TypeIs[list[Any]]:
    return isinstance(value, list)


def is_object(value: Any) -> TypeIs[dict[str, Any]]:
    return isinstance(value, dict)
