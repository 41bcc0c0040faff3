"""Every error, unsubscribe and disconnect that this server can produce (numbers and texts are Centrifugo's)."""

from __future__ import annotations

import msgspec


class ErrorReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `error` object of a client reply and of a server API reply."""

    code: int = 0
    message: str = ""
    temporary: bool = False


class Disconnect(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ends a connection: 3000-3499 and 4000-4499 let the client reconnect, 3500-3999 and 4500-4999 are final."""

    code: int = 0
    reason: str = ""


class Unsubscribe(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ends a subscription: from 2500 on the client subscribes again by itself."""

    code: int = 0
    reason: str = ""


Refusal = ErrorReply | Disconnect

INTERNAL = ErrorReply(100, "internal server error", temporary=True)
UNKNOWN_CHANNEL = ErrorReply(102, "unknown channel")
PERMISSION_DENIED = ErrorReply(103, "permission denied")
METHOD_NOT_FOUND = ErrorReply(104, "method not found")
ALREADY_SUBSCRIBED = ErrorReply(105, "already subscribed")
LIMIT_EXCEEDED = ErrorReply(106, "limit exceeded")
BAD_REQUEST = ErrorReply(107, "bad request")
NOT_AVAILABLE = ErrorReply(108, "not available")
TOKEN_EXPIRED = ErrorReply(109, "token expired")
EXPIRED = ErrorReply(110, "expired")
UNRECOVERABLE_POSITION = ErrorReply(112, "unrecoverable position")

API_INTERNAL = ErrorReply(100, "internal server error")
API_NOT_FOUND = ErrorReply(104, "not found")

UNSUBSCRIBE_SERVER = Unsubscribe(2000, "server unsubscribe")
UNSUBSCRIBE_INSUFFICIENT = Unsubscribe(2500, "insufficient state")
UNSUBSCRIBE_EXPIRED = Unsubscribe(2501, "subscription expired")

CONNECTION_CLOSED = Disconnect(3000, "connection closed")
SHUTDOWN = Disconnect(3001, "shutdown")
SERVER_ERROR = Disconnect(3004, "internal server error")
CONNECTION_EXPIRED = Disconnect(3005, "connection expired")
SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
SLOW = Disconnect(3008, "slow")
WRITE_ERROR = Disconnect(3009, "write error")
INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
NO_PONG = Disconnect(3012, "no pong")
INVALID_TOKEN = Disconnect(3500, "invalid token")
PROTOCOL_ERROR = Disconnect(3501, "bad request")
STALE = Disconnect(3502, "stale")
FORCE_DISCONNECT = Disconnect(3503, "force disconnect")
CONNECTION_LIMIT = Disconnect(3504, "connection limit")
CHANNEL_LIMIT = Disconnect(3505, "channel limit")
FORBIDDEN = Disconnect(3507, "permission denied")
SEND_NOT_AVAILABLE = Disconnect(3508, "not available")
FRAME_TOO_BIG = Disconnect(1009, "")
