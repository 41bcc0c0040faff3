"""Pure: the one registry of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from django_cfg.errors import RegistrationError, RPCError
from django_cfg.rpc import signature
from django_cfg.rpc.invoke import invoke, method_not_found
from django_cfg.rpc.method import Handler, Middleware, Permission, RPCMethodInfo, Transport
from django_cfg.rpc.permissions import IsAuthenticated

__all__ = ["MessageRouter", "get_global_router"]

_F = TypeVar("_F", bound=Handler)


class MessageRouter:
    """Methods by name.

    Registering the same function again (a reload) replaces it; another function under a taken name is an error.
    `default_permissions` returns those of methods that name none, over every transport.
    """

    def __init__(self, *, middleware: Iterable[Middleware] = ()) -> None:
        self._methods: dict[str, RPCMethodInfo] = {}
        self.middleware: list[Middleware] = list(middleware)
        self.default_permissions: Callable[[], Sequence[Permission]] = _authenticated

    def register(self, name: str) -> Callable[[_F], _F]:
        """Decorator for a handler whose types may be missing; its generated types are then open."""

        def decorate(func: _F) -> _F:
            self.register_handler(name, func)
            return func

        return decorate

    def register_handler(
        self,
        name: str,
        func: Handler,
        *,
        idempotent: bool = False,
        permissions: Sequence[Permission | type] | None = None,
        errors: Sequence[type[RPCError]] = (),
        transports: Iterable[Transport | str] = tuple(Transport),
        strict: bool = False,
        localns: Mapping[str, Any] | None = None,
    ) -> RPCMethodInfo:
        """Raises RegistrationError; `strict` demands Pydantic models, `localns` helps to resolve them."""
        signature.check_method_name(name, func)
        signature.check_async(name, func)
        types = signature.read_types(name, func, localns, strict=strict)
        where = f"{signature.location(func)}: {name}"
        info = RPCMethodInfo(
            name=name,
            handler=func,
            params_model=types.params,
            result_model=types.result,
            docstring=inspect.getdoc(func) or "",
            idempotent=idempotent,
            permissions=None if permissions is None else _checked_permissions(where, permissions),
            errors=_checked_errors(where, errors),
            transports=_checked_transports(where, transports),
            source=signature.location(func),
        )
        self.add(info)
        return info

    def add(self, info: RPCMethodInfo) -> None:
        """Raises RegistrationError when another function has the name."""
        taken = self._methods.get(info.name)
        if taken is not None and signature.origin(taken.handler) != signature.origin(info.handler):
            raise RegistrationError(
                f"{info.source}: the method name {info.name!r} is taken by {signature.label(taken.handler)} "
                f"({taken.source}). Choose another name, or remove one of the two."
            )
        self._methods[info.name] = info

    def get(self, name: str) -> RPCMethodInfo | None:
        return self._methods.get(name)

    def lookup(self, name: str) -> RPCMethodInfo:
        """Raises MethodNotFoundError, which names the method."""
        info = self._methods.get(name)
        if info is None:
            raise method_not_found(name)
        return info

    def methods(self) -> tuple[RPCMethodInfo, ...]:
        """In the order of registration."""
        return tuple(self._methods.values())

    def clear(self) -> None:
        """Forget every method; for tests that register their own."""
        self._methods.clear()

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __len__(self) -> int:
        return len(self._methods)

    async def handle_message(self, name: str, params: Any, conn: Any = None) -> Any:
        """The trusted entry inside the process: validates both ways, checks no permission, returns plain JSON data.

        Raises MethodNotFoundError, InvalidParamsError, MalformedMessageError, and whatever the handler raises.
        """
        return await invoke(self.lookup(name), params, conn, self.middleware)


def _authenticated() -> Sequence[Permission]:
    return (IsAuthenticated(),)


def _checked_permissions(where: str, permissions: object) -> tuple[Permission, ...]:
    if not isinstance(permissions, list | tuple):
        raise RegistrationError(f"{where}: permissions must be a list, for example permissions=[IsAuthenticated].")
    given = cast("Sequence[Permission | type]", permissions)
    return tuple(checked_permission(where, item) for item in given)


def checked_permission(where: str, given: object) -> Permission:
    """An instance, where `given` is a class; raises RegistrationError that begins with `where`."""
    permission: object = given() if isinstance(given, type) else given
    if not callable(permission):
        raise RegistrationError(f"{where}: the permission {given!r} is neither a class nor a function (conn, method).")
    try:
        inspect.signature(permission).bind(None, None)
    except (TypeError, ValueError) as error:
        raise RegistrationError(
            f"{where}: the permission {given!r} must take two parameters: (conn, method)."
        ) from error
    return cast(Permission, permission)


def _checked_errors(where: str, errors: Sequence[type[RPCError]]) -> tuple[type[RPCError], ...]:
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, RPCError)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RegistrationError(
                f"{where}: errors must be subclasses of django_cfg.errors.RPCError; {error!r} is none."
            )
        if error.code == RPCError.code:
            raise RegistrationError(f"{where}: {error.__name__} needs a code of its own, for example code = 'locked'.")
    return tuple(errors)


def _checked_transports(where: str, transports: Iterable[Transport | str]) -> frozenset[Transport]:
    if isinstance(transports, str):
        raise RegistrationError(f"{where}: transports must be a list, for example transports=[{transports!r}].")
    try:
        return frozenset(Transport(item) for item in transports)
    except ValueError as error:
        known = ", ".join(repr(str(item)) for item in Transport)
        raise RegistrationError(f"{where}: {error}; known transports are {known}.") from error


_global_router = MessageRouter()


def get_global_router() -> MessageRouter:
    """The router that `@websocket_rpc` fills."""
    return _global_router
