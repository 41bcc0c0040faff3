"""`@websocket_rpc`: one async, typed function becomes callable from every client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from django_cfg.errors import RegistrationError, RPCError
from django_cfg.rpc.method import Handler, Permission, Transport
from django_cfg.rpc.router import get_global_router
from django_cfg.rpc.signature import label, location

__all__ = ["websocket_rpc"]

_F = TypeVar("_F", bound=Handler)


def websocket_rpc(
    name: str,
    *,
    idempotent: bool = False,
    permissions: Sequence[Permission | type] | None = None,
    errors: Sequence[type[RPCError]] = (),
    transports: Iterable[Transport | str] = tuple(Transport),
) -> Callable[[_F], _F]:
    """Register `async def handler(conn, params: Params) -> Result` under `name`; the function itself stays as it is.

    `idempotent`: it may run again when the process that ran it has died. `permissions`: instead of the project's
    default. `errors`: RPCError subclasses with codes of their own that callers may see. `transports`: where it can be
    reached.
    Raises RegistrationError, at import, with file, line and fix.
    """
    if callable(name):
        raise RegistrationError(
            f"{location(name)}: @websocket_rpc needs the method's name: @websocket_rpc('tasks.{label(name)}')."
        )
    # Models may be local to the function that defines the handler, as in a test.
    localns = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage] - documented, and stdlib uses it alike

    def decorate(func: _F) -> _F:
        get_global_router().register_handler(
            name,
            func,
            idempotent=idempotent,
            permissions=permissions,
            errors=errors,
            transports=transports,
            strict=True,
            localns=localns,
        )
        return func

    return decorate
