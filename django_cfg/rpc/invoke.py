"""Run one method: parameters in, middleware, handler, checked result out."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import Any

from pydantic_core import from_json

from django_cfg.errors import MethodNotFoundError, PermissionDeniedError, RPCError, UnauthorizedError
from django_cfg.rpc.method import Handler, Middleware, Permission, RPCMethodInfo
from django_cfg.rpc.validation import dump_result, read_params

__all__ = ["check_permissions", "invoke", "method_not_found", "run_handler"]

LONGEST_NAME = 128


async def invoke(method: RPCMethodInfo, params: Any, conn: Any, middleware: Sequence[Middleware]) -> Any:
    """The trusted in-process call: plain JSON data out."""
    value = await run_handler(method, read_params(method, params), conn, middleware)
    return from_json(dump_result(method, value))


async def run_handler(method: RPCMethodInfo, params: Any, conn: Any, middleware: Sequence[Middleware]) -> Any:
    """The handler's own return value; the first middleware is the outermost."""
    call = method.handler
    for layer in reversed(middleware):
        call = _wrapped(layer, call)
    return await call(conn, params)


async def check_permissions(method: RPCMethodInfo, conn: Any, default: Sequence[Permission]) -> None:
    """Raises UnauthorizedError for a caller nobody knows, PermissionDeniedError for one who may not."""
    for permission in default if method.permissions is None else method.permissions:
        allowed = permission(conn, method)
        if allowed is not True and inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            raise _refusal(method, conn)


def method_not_found(name: str) -> MethodNotFoundError:
    """Names the method, as far as a name that somebody else chose can be shown."""
    return MethodNotFoundError(f"unknown method {name[:LONGEST_NAME]!a}")


def _wrapped(layer: Middleware, inner: Handler) -> Handler:
    def call(conn: Any, params: Any) -> Awaitable[Any]:
        return layer(conn, params, inner)

    return call


def _refusal(method: RPCMethodInfo, conn: Any) -> RPCError:
    if not conn.user_id and not conn.is_service:
        return UnauthorizedError(f"log in to call {method.name}")
    return PermissionDeniedError(f"you may not call {method.name}")
