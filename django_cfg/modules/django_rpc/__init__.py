"""Synchronous RPC between Django and real-time servers over Redis. Importing this needs no redis and no settings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_cfg.errors import (
    NoResponders,
    RPCConfigurationError,
    RPCConnectionError,
    RPCError,
    RPCOverloadedError,
    RPCRemoteError,
    RPCTimeoutError,
)

if TYPE_CHECKING:
    from django_cfg.modules.django_rpc.client import RPCCall, WebSocketRPCClient, get_rpc_client
    from django_cfg.modules.django_rpc.config import WebSocketRPCConfig

__all__ = [
    "NoResponders",
    "RPCCall",
    "RPCConfigurationError",
    "RPCConnectionError",
    "RPCError",
    "RPCOverloadedError",
    "RPCRemoteError",
    "RPCTimeoutError",
    "WebSocketRPCClient",
    "WebSocketRPCConfig",
    "get_rpc_client",
]

_LAZY = {
    "RPCCall": "client",
    "WebSocketRPCClient": "client",
    "WebSocketRPCConfig": "config",
    "get_rpc_client": "client",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
