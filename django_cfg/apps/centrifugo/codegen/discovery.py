"""Which methods a router holds."""

from __future__ import annotations

from django.utils.module_loading import import_string

from django_cfg.errors import GenerationError
from django_cfg.rpc.method import RPCMethodInfo, Transport
from django_cfg.rpc.router import MessageRouter, get_global_router

__all__ = ["discover_rpc_methods_from_router", "load_router"]


def discover_rpc_methods_from_router(router: MessageRouter) -> list[RPCMethodInfo]:
    """The router's own records of what clients can reach, in its order; raises TypeError for what is no router."""
    if not isinstance(router, MessageRouter):  # pyright: ignore[reportUnnecessaryIsInstance]  # a caller without types
        raise TypeError(f"{router!r} is not a MessageRouter")
    return [method for method in router.methods() if Transport.CENTRIFUGO in method.transports]


def load_router(path: str | None) -> MessageRouter:
    """The router at a dotted path, the global one without a path; raises GenerationError."""
    if path is None:
        return get_global_router()
    try:
        found: object = import_string(path)
    except ImportError as error:
        raise GenerationError(f"there is no router at {path!r}: {error}") from error
    if not isinstance(found, MessageRouter):
        raise GenerationError(f"{path!r} is a {type(found).__name__}, not a MessageRouter")
    return found
