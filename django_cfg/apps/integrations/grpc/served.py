"""The streaming services of one server: those that are registered, and those that agents have been seen to reach."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias
from weakref import WeakSet

from django_cfg.apps.integrations.grpc.services.commands.registry import get_streaming_service, list_streaming_services
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingService

__all__ = ["NOT_REGISTERED", "Served", "Service", "all_services"]

Service: TypeAlias = BidirectionalStreamingService[Any, Any]
Served: TypeAlias = WeakSet[Service]

NOT_REGISTERED = "(not registered)"
"""The name of a service that has none; it is drained and listed like all others."""


def all_services(seen: Iterable[Service] = ()) -> list[tuple[str, Service]]:
    """With their names; `seen` are those with streams."""
    named = [(name, get_streaming_service(name)) for name in list_streaming_services()]
    registered = [(name, service) for name, service in named if service is not None]
    known = {id(service) for _, service in registered}
    return registered + [(NOT_REGISTERED, service) for service in seen if id(service) not in known]
