"""Every exception of the package, and the closed list of error codes that every wire and every client shares.

DjangoCfgError
├── ConfigurationError            settings that cannot work
├── RegistrationError             a handler that cannot be registered (raised at import)
├── GenerationError               clients that cannot be generated
├── PublishError                  a message that did not reach Centrifugo
└── RPCError                      a call that failed, with a code of RPCErrorCode
    ├── MethodNotFoundError       nobody registered that name
    ├── InvalidParamsError        the parameters do not fit the method's model
    ├── MalformedMessageError     a message or a result that does not fit
    ├── UnauthorizedError         nobody is logged in
    ├── PermissionDeniedError     somebody is, and may not
    ├── ServiceUnavailableError   overloaded, draining, or nobody serves
    ├── CallTimeoutError          the deadline has passed
    └── OutcomeUnknownError       it may have run, or may not
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = [
    "CallTimeoutError",
    "ConfigurationError",
    "DjangoCfgError",
    "GenerationError",
    "InvalidParamsError",
    "MalformedMessageError",
    "MethodNotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PublishError",
    "RPCError",
    "RPCErrorCode",
    "RegistrationError",
    "ServiceUnavailableError",
    "UnauthorizedError",
]


class RPCErrorCode(StrEnum):
    """Why a call failed: the same text on every wire and in every generated client.

    The order is part of the contract: where Centrifugo itself carries the error, its number is `FIRST_NUMBER` plus the
    position.
    """

    TIMEOUT = "timeout"
    METHOD_NOT_FOUND = "method_not_found"
    INVALID_PARAMS = "invalid_params"
    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    INTERNAL_ERROR = "internal_error"
    SERVICE_UNAVAILABLE = "service_unavailable"
    USER_NOT_CONNECTED = "user_not_connected"
    ROOM_NOT_FOUND = "room_not_found"
    RESOURCE_NOT_FOUND = "resource_not_found"
    CONNECTION_ERROR = "connection_error"
    REDIS_ERROR = "redis_error"
    PERMISSION_DENIED = "permission_denied"
    APPLICATION_ERROR = "application_error"
    CANCELLED = "cancelled"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CONTRACT_MISMATCH = "contract_mismatch"

    @property
    def retryable(self) -> bool:
        """Whether the same call may simply be made again, unless the error itself says otherwise."""
        return self in _RETRYABLE

    @property
    def number(self) -> int:
        """The number of this code where Centrifugo carries the error (applications have 400 to 1999 there)."""
        return FIRST_NUMBER + list(type(self)).index(self)


FIRST_NUMBER = 1001
_RETRYABLE = frozenset(
    {
        RPCErrorCode.TIMEOUT,
        RPCErrorCode.RATE_LIMIT_EXCEEDED,
        RPCErrorCode.SERVICE_UNAVAILABLE,
        RPCErrorCode.CONNECTION_ERROR,
        RPCErrorCode.REDIS_ERROR,
    }
)


class DjangoCfgError(Exception):
    """Everything that this package raises on purpose."""


class ConfigurationError(DjangoCfgError):
    """Settings that cannot work; the message names the setting and the fix."""


class RegistrationError(DjangoCfgError):
    """A handler that cannot be registered; the message names its file, its line and the fix."""


class GenerationError(DjangoCfgError):
    """Clients that cannot be generated; the message says what to change."""


class PublishError(DjangoCfgError):
    """A message that did not reach Centrifugo, or that it refused; the message says which."""


class RPCError(DjangoCfgError):
    """A call that failed. Raise it (or a subclass) in a handler: its message and details reach the caller.

    `retry_after` is in seconds. A subclass may set `code` to a text of its own and be declared by the method:
    `@websocket_rpc(name, errors=[TaskLocked])`.
    """

    code: str = RPCErrorCode.INTERNAL_ERROR

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.code = code or type(self).code
        self.message = message or self.code.replace("_", " ")
        self.details = details
        self.retryable = self.code in _RETRYABLE if retryable is None else retryable
        self.retry_after = retry_after
        super().__init__(self.message)


class MethodNotFoundError(RPCError):
    """Nobody registered a method of that name."""

    code = RPCErrorCode.METHOD_NOT_FOUND


class InvalidParamsError(RPCError):
    """The parameters do not fit the method's model; `details["errors"]` lists where."""

    code = RPCErrorCode.INVALID_PARAMS


class MalformedMessageError(RPCError):
    """A message that cannot be read, or a result that does not fit the method's model."""

    code = RPCErrorCode.VALIDATION_ERROR


class UnauthorizedError(RPCError):
    """The caller is not logged in."""

    code = RPCErrorCode.UNAUTHORIZED


class PermissionDeniedError(RPCError):
    """The caller is known and may not do this."""

    code = RPCErrorCode.PERMISSION_DENIED


class ServiceUnavailableError(RPCError):
    """Overloaded, draining, or nobody serves; nothing has run."""

    code = RPCErrorCode.SERVICE_UNAVAILABLE


class CallTimeoutError(RPCError):
    """The call's deadline has passed."""

    code = RPCErrorCode.TIMEOUT


class OutcomeUnknownError(RPCError):
    """The call may have run; only the application can find out."""

    code = RPCErrorCode.OUTCOME_UNKNOWN
