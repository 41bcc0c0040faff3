"""Pure: parameters and results against a method's models, and bytes against the limits on JSON from outside."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from django_cfg.errors import InvalidParamsError, MalformedMessageError
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["check_json", "dump_result", "read_params", "read_params_json"]

MAX_DEPTH = 64
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")


def check_json(raw: bytes, *, max_depth: int = MAX_DEPTH) -> None:
    """Raises MalformedMessageError for what is no JSON, holds NaN or a number out of range, or nests too deep."""
    # More brackets than levels is necessary for too much depth, and counting them is the only cost for ordinary messages.
    if raw.count(b"[") + raw.count(b"{") > max_depth and _depth(raw) > max_depth:
        raise MalformedMessageError(f"the message nests deeper than {max_depth} levels")
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedMessageError("the message is not valid JSON") from error


def read_params_json(method: RPCMethodInfo, raw: bytes) -> Any:
    """Parameters from outside, in pydantic's JSON mode; raises InvalidParamsError."""
    if method.params_model is None:
        return from_json(raw, allow_inf_nan=False)
    try:
        return method.params_model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(method, error) from error


def read_params(method: RPCMethodInfo, params: Any) -> Any:
    """Parameters from inside the process: a model, a mapping, or None for none; raises InvalidParamsError."""
    model = method.params_model
    if model is None:
        return params
    if isinstance(params, BaseModel) and not isinstance(params, model):
        params = params.model_dump()
    try:
        return model.model_validate({} if params is None else params)
    except ValidationError as error:
        raise _invalid(method, error) from error


def dump_result(method: RPCMethodInfo, value: Any) -> bytes:
    """JSON with exactly the fields of the declared result model, by alias; raises MalformedMessageError.

    A subclass of the declared model loses its extra fields here, so that nothing private leaves by inheritance.
    """
    model = method.result_model
    try:
        if model is None:
            return to_json(value, by_alias=True, inf_nan_mode="constants")
        checked = value if isinstance(value, model) else model.model_validate(value)
        return model.__pydantic_serializer__.to_json(checked, by_alias=True, warnings="error")
    except (ValidationError, PydanticSerializationError) as error:
        raise MalformedMessageError(f"the result of {method.name} does not fit its model") from error


def _invalid(method: RPCMethodInfo, error: ValidationError) -> InvalidParamsError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = found[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    text = f"{place}: {first['msg']}" if place else first["msg"]
    listed = [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in found[:20]]
    return InvalidParamsError(f"invalid params for {method.name}: {text}{more}", details={"errors": listed})


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
