"""Pure: what a handler's signature says, or a RegistrationError that says how to write it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel

from django_cfg.errors import RegistrationError

__all__ = [
    "METHOD_NAME",
    "MethodTypes",
    "check_async",
    "check_method_name",
    "label",
    "location",
    "origin",
    "read_types",
]

METHOD_NAME = re.compile(r"(?!.{129})[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class MethodTypes:
    params: type[BaseModel] | None
    result: type[BaseModel] | None


def label(func: Callable[..., Any]) -> str:
    """A function's name, as a message shows it."""
    return str(getattr(func, "__name__", repr(func)))


def location(func: Callable[..., Any]) -> str:
    """`file:line` of a function, as an error message or a log line shows it."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "unknown location"


def origin(func: Callable[..., Any]) -> tuple[str, str]:
    """What stays the same when a module is imported again, also under another name: real file and qualified name."""
    inner = inspect.unwrap(func)
    code = getattr(inner, "__code__", None)
    file = str(Path(code.co_filename).resolve()) if code else str(getattr(inner, "__module__", ""))
    return file, str(getattr(inner, "__qualname__", repr(inner)))


def check_method_name(name: object, func: Callable[..., Any]) -> None:
    """Raises RegistrationError for a name that no client could carry."""
    if not isinstance(name, str) or not METHOD_NAME.fullmatch(name):
        raise RegistrationError(
            f"{location(func)}: {name!r} is not a method name. Use letters, digits, '_' and '-', joined by dots, "
            f"each part beginning with a letter (at most 128 characters), for example 'tasks.get_stats'."
        )


def check_async(name: str, func: Callable[..., Any]) -> None:
    """Raises RegistrationError unless the handler is `async def` with the parameters (conn, params)."""
    where, fix = f"{location(func)}: {name}", f"Write 'async def {label(func)}(conn, params)'."
    if inspect.isasyncgenfunction(func):
        raise RegistrationError(f"{where}: {label(func)} yields; a handler returns one result. {fix}")
    if not inspect.iscoroutinefunction(func) and not inspect.iscoroutinefunction(inspect.unwrap(func)):
        raise RegistrationError(f"{where}: the handler {label(func)} is not async. {fix}")
    if len(_positional(func)) != 2 or _needs_keywords(func):
        raise RegistrationError(f"{where}: the handler {label(func)} must take two parameters. {fix}")


def read_types(
    name: str, func: Callable[..., Any], localns: Mapping[str, Any] | None = None, *, strict: bool
) -> MethodTypes:
    """The models of the second parameter and of the result; `strict` raises RegistrationError where there is none."""
    hints = _hints(name, func, localns, strict=strict)
    parameter = _positional(func)[1].name
    params, result = hints.get(parameter), hints.get("return")
    if strict:
        _require_model(name, func, f"its parameter '{parameter}'", params)
        _require_model(name, func, "its result", result)
    return MethodTypes(_model_or_none(params), _model_or_none(result))


def _positional(func: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(func).parameters.values() if p.kind in kinds]


def _needs_keywords(func: Callable[..., Any]) -> bool:
    parameters = inspect.signature(func).parameters.values()
    return any(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is inspect.Parameter.empty for p in parameters)


def _hints(name: str, func: Callable[..., Any], localns: Mapping[str, Any] | None, *, strict: bool) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(func), localns=dict(localns or {}), include_extras=False)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        if not strict:
            return {}
        raise RegistrationError(
            f"{location(func)}: {name}: the annotations of {label(func)} cannot be read ({error}). "
            f"Import the models at run time, not only under TYPE_CHECKING."
        ) from error


def _model_or_none(hint: Any) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) and hint is not BaseModel else None


def _require_model(name: str, func: Callable[..., Any], what: str, hint: Any) -> None:
    if _model_or_none(hint) is not None:
        return
    shown = getattr(hint, "__name__", hint)
    problem = "has no type for" if hint is None else f"has {shown!s}, which is no Pydantic model, as"
    raise RegistrationError(
        f"{location(func)}: {name}: {label(func)} {problem} {what}. Clients are generated from Pydantic models: "
        f"write 'async def {label(func)}(conn, params: Params) -> Result' with subclasses of pydantic.BaseModel."
    )
