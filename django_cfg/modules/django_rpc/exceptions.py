"""The exceptions of this part; they are defined in django_cfg.errors, with all others."""

from django_cfg.errors import (
    NoResponders,
    RPCConfigurationError,
    RPCConnectionError,
    RPCError,
    RPCOverloadedError,
    RPCRemoteError,
    RPCTimeoutError,
)

__all__ = [
    "NoResponders",
    "RPCConfigurationError",
    "RPCConnectionError",
    "RPCError",
    "RPCOverloadedError",
    "RPCRemoteError",
    "RPCTimeoutError",
]
