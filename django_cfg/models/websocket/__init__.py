"""The wire: pydantic models only.

`RPCError` and `TimeoutError` here are what a message says, not exceptions; those are in `django_cfg.errors`.
"""

from django_cfg.models.websocket.base import BaseRPCMessage, BaseRPCRequest, BaseRPCResponse
from django_cfg.models.websocket.broadcast import BroadcastRequest, BroadcastResponse, BroadcastTarget
from django_cfg.models.websocket.connections import ConnectionInfo, ConnectionStateUpdate
from django_cfg.models.websocket.errors import (
    RateLimitError,
    RPCError,
    RPCErrorCode,
    RPCValidationError,
    TimeoutError,  # noqa: A004 - the users' name
    UserNotConnectedError,
)
from django_cfg.models.websocket.notifications import (
    BatchNotificationRequest,
    BatchNotificationResponse,
    NotificationPriority,
    NotificationRequest,
    NotificationResponse,
)
from django_cfg.models.websocket.rpc import RPCRequest, RPCResponse

__all__ = [
    "BaseRPCMessage",
    "BaseRPCRequest",
    "BaseRPCResponse",
    "BatchNotificationRequest",
    "BatchNotificationResponse",
    "BroadcastRequest",
    "BroadcastResponse",
    "BroadcastTarget",
    "ConnectionInfo",
    "ConnectionStateUpdate",
    "NotificationPriority",
    "NotificationRequest",
    "NotificationResponse",
    "RPCError",
    "RPCErrorCode",
    "RPCRequest",
    "RPCResponse",
    "RPCValidationError",
    "RateLimitError",
    "TimeoutError",
    "UserNotConnectedError",
]
