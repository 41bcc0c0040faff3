"""Bidirectional streams of agents. The configuration can be imported without grpcio; the service needs it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_cfg.apps.integrations.grpc.extra import require_grpc
from django_cfg.apps.integrations.grpc.services.streaming.config import (
    BidirectionalStreamingConfig,
    ConfigPresets,
    PingStrategy,
    StreamingMode,
)
from django_cfg.apps.integrations.grpc.services.streaming.outcome import (
    CommandOutcome,
    CommandReport,
    CommandResult,
    CommandStamp,
    Undelivered,
)
from django_cfg.apps.integrations.grpc.services.streaming.status import AgentStatus

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
    from django_cfg.apps.integrations.grpc.services.streaming.service import BidirectionalStreamingService

__all__ = [
    "AgentStatus",
    "BidirectionalStreamingConfig",
    "BidirectionalStreamingService",
    "CommandOutcome",
    "CommandReport",
    "CommandResult",
    "CommandStamp",
    "ConfigPresets",
    "OutboundQueue",
    "PingStrategy",
    "StreamingMode",
    "Undelivered",
]

_LAZY = {"BidirectionalStreamingService": "service", "OutboundQueue": "outbound"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    except ImportError:
        require_grpc()
        raise
