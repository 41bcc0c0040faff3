"""The streaming services that run in this process, by name: what makes same-process mode possible.

A forked child holds none: the streams and the event loop that owns them stayed in its parent.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from django_cfg.errors import RegistrationError

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingService

    StreamingService: TypeAlias = BidirectionalStreamingService[Any, Any]

__all__ = [
    "clear_registry",
    "get_streaming_service",
    "is_registered",
    "list_streaming_services",
    "register_streaming_service",
    "set_streaming_service",
    "unregister_streaming_service",
]

logger = logging.getLogger("django_cfg.grpc.commands")

_lock = threading.RLock()
_services: dict[str, StreamingService] = {}


def register_streaming_service(name: str, service: StreamingService, *, replace: bool = False) -> None:
    """Offer `service` to the clients of this process; the same object may be registered again.

    Another service under that name is replaced with a warning while no agent is connected to it. One with agents would
    leave them unreachable: that raises RegistrationError, unless `replace` says that it is meant.
    """
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RegistrationError(f"a streaming service needs a name, a text that is not empty, not {name!r:.60}")
    if service is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise RegistrationError(f"there is no streaming service to register as {name!r}: it is None")
    if _only_holds_one(service):
        raise RegistrationError(
            f"{type(service).__name__} is no streaming service, but holds one: register that one as {name!r}"
        )
    with _lock:
        current = _services.get(name)
        if current is not None and current is not service and not replace:
            _allow_replacing(name, current)
        _services[name] = service


def _allow_replacing(name: str, current: StreamingService) -> None:
    if agents := _agents_of(current):
        raise RegistrationError(
            f"the streaming service {name!r} has {agents} connected agents, which another service would not reach:"
            " register that one under its own name, or pass replace=True"
        )
    logger.warning("the streaming service %r, to which no agent is connected, is replaced by another", name)


def _only_holds_one(given: object) -> bool:
    """As a servicer does; stand-ins of somebody's tests may be anything else."""
    parts = list(getattr(given, "__dict__", {}).values())
    return not hasattr(given, "send_to_client") and any(hasattr(part, "send_to_client") for part in parts)


def _agents_of(service: StreamingService) -> int:
    try:
        return len(service.get_active_connections())
    except (AttributeError, TypeError):  # a stand-in of somebody's tests
        return 0


set_streaming_service = register_streaming_service


def get_streaming_service(name: str) -> StreamingService | None:
    """None where this process does not run that service: its agents are reached over gRPC."""
    with _lock:
        return _services.get(name)


def unregister_streaming_service(name: str) -> bool:
    """Whether there was one."""
    with _lock:
        return _services.pop(name, None) is not None


def list_streaming_services() -> list[str]:
    """Their names, sorted."""
    with _lock:
        return sorted(_services)


def is_registered(name: str) -> bool:
    with _lock:
        return name in _services


def clear_registry() -> None:
    with _lock:
        _services.clear()


def _start_empty() -> None:
    """In a forked child, where another thread of the parent may have held the lock."""
    global _lock  # the lock itself is what has to be replaced
    _lock = threading.RLock()
    _services.clear()


os.register_at_fork(after_in_child=_start_empty)
