"""What all typed settings share: they never change, and a misspelt key is told the nearest known one."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from django_cfg.errors import ConfigurationError

__all__ = ["TypedSettings", "parse_setting"]


class TypedSettings(BaseModel):
    """Base of every configuration. Errors never show a value, since it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_nearest_key(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in cast("dict[object, object]", data):
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.0)
                    raise ValueError(f"unknown key {str(key)!r} (did you mean {near[0]!r}?)")
        return cast("object", data)


Config = TypeVar("Config", bound=TypedSettings)


def parse_setting(kind: type[Config], setting: str, given: object) -> Config:
    """`given` is the value of `settings.<setting>`, a dict or a config; raises ConfigurationError naming the key."""
    if not isinstance(given, dict | kind):
        raise ConfigurationError(f"settings.{setting} must be a dict, not {type(given).__name__}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"[{part!r}]" for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"settings.{setting}{place}: {message}") from error
