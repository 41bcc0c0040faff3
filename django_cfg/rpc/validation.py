"""Pure: parameters and results against a method's models, and bytes against the limits on JSON from outside."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, from_json, to_json

from django_cfg.errors import InvalidParamsError, MalformedMessageError
from django_cfg.rpc.lossless import refuse_lost_numbers
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["MAX_DEPTH", "check_json", "dump_json", "dump_result", "nests_deeper", "read_params", "read_params_json"]

MAX_DEPTH = 64
MAX_LISTED_ERRORS = 20
MAX_KEY = 64
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(rb"[][{}]")


def check_json(raw: bytes, *, max_depth: int = MAX_DEPTH) -> None:
    """Raises MalformedMessageError for what is no JSON, holds NaN or a number out of range, or nests too deep."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("the message is not valid JSON, or nests much too deep") from error
    if nests_deeper(raw, max_depth):
        raise MalformedMessageError(f"the message nests deeper than {max_depth} levels")


def nests_deeper(valid: bytes, levels: int) -> bool:
    """Of JSON that can be read. From where on nothing can read it any more depends on the version of Python."""
    # As many brackets as levels are necessary; counting them is all that ordinary messages cost.
    return valid.count(b"[") + valid.count(b"{") > levels and _depth(valid) > levels


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
        params = params.model_dump(by_alias=True)
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
            return dump_json(value)
        checked = value if isinstance(value, model) else model.model_validate(value)
        dumped = model.__pydantic_serializer__.to_json(checked, by_alias=True, warnings="error")
        _refuse_nan(dumped)
        refuse_lost_numbers(checked, dumped, model)
    except (ValidationError, PydanticSerializationError, MalformedMessageError) as error:
        raise MalformedMessageError(f"the result of {method.name} does not fit its model") from error
    return dumped


def dump_json(value: Any) -> bytes:
    """JSON of models and plain data, by alias; raises MalformedMessageError for what JSON cannot carry, as NaN."""
    try:
        dumped = to_json(value, by_alias=True, inf_nan_mode="constants")
    except (ValueError, RecursionError) as error:  # PydanticSerializationError is one; so is what holds itself
        raise MalformedMessageError(f"this cannot be written as JSON: {error}") from error
    _refuse_nan(dumped)
    refuse_lost_numbers(value, dumped)
    return dumped


def _refuse_nan(dumped: bytes) -> None:
    """The words may also stand in a string; only then is a full look needed."""
    if b"NaN" in dumped or b"Infinity" in dumped:
        try:
            msgspec.json.decode(dumped)
        except msgspec.DecodeError as error:
            raise MalformedMessageError("NaN and infinite numbers cannot be written as JSON") from error


def _invalid(method: RPCMethodInfo, error: ValidationError) -> InvalidParamsError:
    found = error.errors(include_url=False, include_input=False)
    listed = [_listed(item) for item in found[:MAX_LISTED_ERRORS]]
    place = ".".join(str(part) for part in listed[0]["loc"])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    text = f"{place}: {listed[0]['msg']}" if place else listed[0]["msg"]
    return InvalidParamsError(f"invalid params for {method.name}: {text}{more}", details={"errors": listed})


def _listed(error: ErrorDetails) -> dict[str, Any]:
    """One fault without its input; a key of the client's own making may be its place, so that is cut."""
    loc = [part[:MAX_KEY] if isinstance(part, str) else part for part in error["loc"]]
    message = error["msg"]
    if error["type"] == "union_tag_invalid":  # the one message of pydantic that quotes the input
        message = f"Input tag does not match any of the expected tags: {error.get('ctx', {}).get('expected_tags')}"
    return {"loc": loc, "msg": message, "type": error["type"]}


def _depth(valid: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", valid)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
