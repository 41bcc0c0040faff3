"""Finds `grpc_handlers(server)` in the `grpc_handlers.py` of installed apps, and says what each has registered."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from django_cfg.apps.integrations.grpc.services.discovery.orm import orm_in_event_loop
from django_cfg.errors import RegistrationError

if TYPE_CHECKING:
    import grpc

__all__ = ["MODULE", "RegisteredService", "register_handlers"]

MODULE = "grpc_handlers"
"""Name of the module in an app, and of the function in it."""
HEALTH = "grpc.health.v1.Health"


@dataclass(frozen=True, slots=True)
class RegisteredService:
    """A gRPC service by its full name, and the function that registered it."""

    name: str
    app: str
    source: str
    """`path/of/grpc_handlers.py:12`"""


def register_handlers(server: grpc.aio.Server) -> list[RegisteredService]:
    """Calls each app's function once; raises RegistrationError that names app, file and line."""
    with orm_in_event_loop():
        return _registered(server)


def _registered(server: grpc.aio.Server) -> list[RegisteredService]:
    registered: dict[str, RegisteredService] = {}
    for app in apps.get_app_configs():
        if app.module is None or not module_has_submodule(app.module, MODULE):
            continue
        function = _function(app.name)
        source = _source(function)
        for name in _call(function, server, app.name, source):
            if name == HEALTH:
                raise RegistrationError(f"{app.name}: {source}: {name} is the server's own: add no other")
            if other := registered.get(name):
                raise RegistrationError(f"{app.name}: {source}: {other.source} has registered {name} already")
            registered[name] = RegisteredService(name, app.name, source)
    return list(registered.values())


def _function(app: str) -> Callable[[Any], object]:
    try:
        module = import_module(f"{app}.{MODULE}")
    except (Exception, SystemExit) as error:
        raise _failure(error, app) from error
    function = getattr(module, MODULE, None)
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise RegistrationError(
            f"{app}: {module.__file__}:1: there must be a function `def {MODULE}(server): ...`, not async, "
            f"which adds servicers to the server"
        )
    _check_takes_server(function, app)
    return function


def _check_takes_server(function: Callable[..., object], app: str) -> None:
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise RegistrationError(
            f"{app}: {_source(function)}: {MODULE} must take one argument, the server: {error}"
        ) from error


def _source(function: Callable[..., object]) -> str:
    return f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"


def _call(function: Callable[[Any], object], server: grpc.aio.Server, app: str, source: str) -> list[str]:
    recorder = _Recorder(server)
    try:
        returned = function(recorder)
    except (Exception, SystemExit) as error:
        raise _failure(error, app) from error
    if returned is not None:
        raise RegistrationError(
            f"{app}: {source}: {MODULE}(server) returned {type(returned).__name__}; it must add its servicers to "
            f"the server itself, such as add_FleetServicer_to_server(servicer, server), and return nothing"
        )
    return recorder.names()


def _failure(error: Exception | SystemExit, app: str) -> RegistrationError:
    """Names the innermost line in that app's `grpc_handlers.py`, or where the error was raised."""
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        ending = (app.rpartition(".")[2], f"{MODULE}.py")
        frame = [*frames, *(frame for frame in frames if Path(frame.filename).parts[-2:] == ending)][-1]
        file, line = frame.filename, frame.lineno
    failure = RegistrationError(f"{app}: {file}:{line}: {type(error).__name__}: {error}")
    failure.filename = file  # type: ignore[attr-defined] # Django's reloader watches the file of that attribute
    return failure


class _Recorder:
    """The server, as far as `grpc_handlers` needs it; remembers the names of the services added."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self._generic: list[str] = []
        self._by_method: list[str] = []

    def names(self) -> list[str]:
        """As often as each was added: generated code adds a service in both ways."""
        return self._generic + [name for name in self._by_method if name not in self._generic]

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        handlers = tuple(generic_rpc_handlers)
        for handler in handlers:
            service_name: Any = getattr(handler, "service_name", None)
            self._generic.append(str(service_name()) if callable(service_name) else type(handler).__name__)
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        self._by_method.append(service_name)
        self._server.add_registered_method_handlers(service_name, method_handlers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)
