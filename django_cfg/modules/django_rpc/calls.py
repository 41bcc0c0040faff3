"""Pure: what callers give: one call of several, and the user for whom they speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from msgspec import UnsetType
from pydantic import BaseModel

from django_cfg.rpc.user_ids import UserId, read_user_id

__all__ = ["AnyCall", "AnyUser", "Params", "RPCCall", "as_call", "check_model", "user_text"]

Params: TypeAlias = BaseModel | Mapping[str, Any] | None

AnyUser: TypeAlias = UserId | UnsetType
"""Only what was not given means nobody: None and an empty text are what visitors have in place of an id."""


class RPCCall(NamedTuple):
    """One of several calls made at once; without `result_model` the result is plain JSON data."""

    method: str
    params: Params = None
    result_model: type[BaseModel] | None = None


AnyCall: TypeAlias = RPCCall | tuple[Any, ...] | Mapping[str, Any]
_CALL_SHAPE = "each call is RPCCall(method, params, result_model), or a tuple or dict of these"


def as_call(call: object) -> RPCCall:
    """Raises TypeError for what is none."""
    made = _read_call(call)
    check_model(made.result_model)
    return made


def check_model(result_model: object) -> None:
    """Before anything is sent: raises TypeError for what cannot read a result."""
    if result_model is None or (isinstance(result_model, type) and issubclass(result_model, BaseModel)):
        return
    shown = getattr(result_model, "__name__", None) if isinstance(result_model, type) else str(result_model)
    raise TypeError(
        f"result_model must be a subclass of pydantic.BaseModel, not {shown}: wrap it, for example in "
        f"pydantic.RootModel[{shown}], or leave it out for plain data"
    )


def _read_call(call: object) -> RPCCall:
    if isinstance(call, RPCCall):
        return call
    try:
        if isinstance(call, Mapping):
            return RPCCall(**cast("Mapping[str, Any]", call))
        if isinstance(call, tuple | list):
            return RPCCall(*cast("Sequence[Any]", call))
    except TypeError as error:
        raise TypeError(_CALL_SHAPE) from error
    raise TypeError(f"{_CALL_SHAPE}, not a {type(call).__name__}")


def user_text(as_user: AnyUser) -> str:
    """Empty where no user was given; raises ValueError for what cannot be one's id."""
    if isinstance(as_user, UnsetType):
        return ""
    try:
        return read_user_id(as_user)
    except ValueError as error:
        raise ValueError(
            f"as_user is no user id: {error}. A visitor who has not signed in has no id, and nobody can speak for "
            f"him; a call without as_user has the full trust of a service"
        ) from None
