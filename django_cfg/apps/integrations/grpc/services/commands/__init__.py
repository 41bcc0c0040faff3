"""Typed commands to agents that hold a stream open, from any process. Needs neither grpcio nor settings to import."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.services.commands.base import StreamingCommandClient
from django_cfg.apps.integrations.grpc.services.commands.config import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.registry import (
    clear_registry,
    get_streaming_service,
    is_registered,
    list_streaming_services,
    register_streaming_service,
    set_streaming_service,
    unregister_streaming_service,
)
from django_cfg.errors import (
    ClientNotConnectedError,
    CommandError,
    CommandOutcomeUnknownError,
    CommandRejectedError,
    CommandTimeoutError,
)

__all__ = [
    "ClientNotConnectedError",
    "CommandClientConfig",
    "CommandError",
    "CommandOutcomeUnknownError",
    "CommandRejectedError",
    "CommandTimeoutError",
    "StreamingCommandClient",
    "clear_registry",
    "get_streaming_service",
    "is_registered",
    "list_streaming_services",
    "register_streaming_service",
    "set_streaming_service",
    "unregister_streaming_service",
]
