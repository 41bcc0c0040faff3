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
    │   ├── RPCOverloadedError    too many requests wait already
    │   └── NoResponders          no server is alive
    ├── CallTimeoutError          the deadline has passed
    │   └── RPCTimeoutError       no answer over Redis in time
    ├── OutcomeUnknownError       it may have run, or may not
    ├── CommandError              a command that did not end as it was meant to
    │   ├── CommandTimeoutError         no answer from the agent in time
    │   ├── ClientNotConnectedError     never sent: the agent is not there, or takes no more
    │   ├── CommandRejectedError        the agent refused it
    │   └── CommandOutcomeUnknownError  the agent's stream ended after it was sent
    ├── RPCRemoteError            the server over Redis answered with an error
    ├── RPCConnectionError        Redis cannot be reached
    └── RPCConfigurationError     Redis settings that cannot work (a ConfigurationError as well)
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_cfg.models.websocket.errors import RPCError as WireError

__all__ = [
    "CallTimeoutError",
    "ClientNotConnectedError",
    "CommandError",
    "CommandOutcomeUnknownError",
    "CommandRejectedError",
    "CommandTimeoutError",
    "ConfigurationError",
    "DjangoCfgError",
    "GenerationError",
    "InvalidParamsError",
    "MalformedMessageError",
    "MethodNotFoundError",
    "NoResponders",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PublishError",
    "RPCConfigurationError",
    "RPCConnectionError",
    "RPCError",
    "RPCErrorCode",
    "RPCOverloadedError",
    "RPCRemoteError",
    "RPCTimeoutError",
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
    `@websocket_rpc(name, errors=[TaskLocked])`. `called` is the method whose call a client over Redis ended with this
    error: where it leaves a handler that made that call, it says nothing true of the handler's own call.
    """

    code: str = RPCErrorCode.INTERNAL_ERROR
    called: str = ""
    message: str = ""
    details: dict[str, Any] | None = None
    retryable: bool = False
    retry_after: float | None = None

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

    def __reduce__(self) -> tuple[Any, ...]:
        """Survives pickling (task queues, process pools) whatever a subclass's constructor demands."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[RPCError], args: tuple[Any, ...], state: dict[str, Any]) -> RPCError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


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


class CommandError(RPCError):
    """A command to an agent did not end as it was meant to; `details` has what is known of it."""


class CommandTimeoutError(CommandError):
    """The agent has not answered in time; `retryable` only where the command was never sent."""

    code = RPCErrorCode.TIMEOUT


class ClientNotConnectedError(CommandError):
    """The command was never sent: the agent is not connected, or its queue takes no more."""

    code = RPCErrorCode.USER_NOT_CONNECTED


class CommandRejectedError(CommandError):
    """The agent refused the command, or failed at it; the message is the agent's."""

    code = RPCErrorCode.APPLICATION_ERROR


class CommandOutcomeUnknownError(CommandError):
    """The agent's stream ended after the command was sent: it may have run."""

    code = RPCErrorCode.OUTCOME_UNKNOWN


class RPCOverloadedError(ServiceUnavailableError):
    """Too many requests wait in the stream; nothing was sent. `retry_after` is in seconds."""

    def __init__(self, message: str = "", *, retry_after: float, details: dict[str, Any] | None = None) -> None:
        text = message or f"too many requests are waiting; nothing was sent, try again in {retry_after:g} s"
        super().__init__(text, details=details, retry_after=retry_after)


class NoResponders(ServiceUnavailableError):
    """No server is alive to answer; nothing has run. Said at once, before any deadline."""

    def __init__(self, message: str = "", *, method: str = "", details: dict[str, Any] | None = None) -> None:
        self.method = method
        super().__init__(message or f"no server is alive to answer {method or 'calls'}", details=details)


class RPCTimeoutError(CallTimeoutError):
    """No answer within `timeout_seconds`; the message says what is known, and the method may still run."""

    def __init__(
        self, message: str = "", *, method: str, timeout_seconds: float, details: dict[str, Any] | None = None
    ) -> None:
        self.method = method
        self.timeout_seconds = timeout_seconds
        super().__init__(message or f"no answer to {method} within {timeout_seconds:g} s", details=details)


class RPCRemoteError(RPCError):
    """The server answered with an error; `error` is that error as it stood on the wire."""

    def __init__(self, error: WireError) -> None:
        self.error = error
        super().__init__(
            error.message,
            code=error.code,
            details=error.details,
            retryable=error.retryable,
            retry_after=error.retry_after,
        )

    @property
    def is_retryable(self) -> bool:
        """Whether the server says that the same call may be made again."""
        return self.retryable


class RPCConnectionError(RPCError):
    """Redis cannot be reached, or failed; the message says whether the request may have been sent."""

    code = RPCErrorCode.CONNECTION_ERROR


class RPCConfigurationError(RPCError, ConfigurationError):
    """Settings of the Redis part that cannot work; the message names the setting and the fix."""
