"""One frozen record per method: what the router calls and what code generation reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import BaseModel

from django_cfg.errors import RPCError

__all__ = ["Handler", "Middleware", "Permission", "RPCMethodInfo", "Transport"]

Handler: TypeAlias = Callable[..., Awaitable[Any]]
"""`async def handler(conn, params)`."""

Permission: TypeAlias = Callable[[Any, "RPCMethodInfo"], bool | Awaitable[bool]]
"""`(conn, method) -> allowed`, sync or async; a sync one must not touch the database."""


Middleware: TypeAlias = Callable[[Any, Any, Handler], Awaitable[Any]]
"""`async def middleware(conn, params, call_next)`: awaits `call_next(conn, params)` and returns the result."""


class Transport(StrEnum):
    """Where a method can be reached from."""

    CENTRIFUGO = "centrifugo"
    REDIS = "redis"


@dataclass(frozen=True, slots=True)
class RPCMethodInfo:
    """A registered method. `params_model` and `result_model` are None for a handler without types.

    `permissions` None means the project's default. `source` is `file:line` of the handler. `docstring` is dedented.
    """

    name: str
    handler: Handler
    params_model: type[BaseModel] | None = None
    result_model: type[BaseModel] | None = None
    docstring: str = ""
    idempotent: bool = False
    permissions: Sequence[Permission] | None = None
    errors: Sequence[type[RPCError]] = ()
    transports: frozenset[Transport] = field(default_factory=lambda: frozenset(Transport))
    source: str = ""
