"""What the end of an RPC says about the command in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from django_cfg.errors import (
    CommandError,
    CommandOutcomeUnknownError,
    CommandTimeoutError,
    InvalidParamsError,
    PermissionDeniedError,
    RPCError,
    RPCErrorCode,
    ServiceUnavailableError,
    UnauthorizedError,
)

__all__ = ["failure_of", "never_sent", "not_reached", "stream_refused"]

Code = grpc.StatusCode

_NEVER_SENT = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "errors resolving",
    "no address added out of total",
)
"""How grpcio's text begins where there was no connection; with any other one the call may have been sent."""

_RESET = "Received RST_STREAM with error code 7"
_REFUSED_STREAM = (_RESET, f"Stream removed (RST_STREAM ({_RESET}")
"""HTTP/2's REFUSED_STREAM (RFC 9113, 8.7): the server has certainly not processed the call."""

_TOO_LARGE = "message larger than max"
"""In grpcio's text, whoever of the two has refused it."""

_ANSWER_TOO_LARGE = "CLIENT: Received message larger than max"

_EXPLAINED = {
    "Socket closed": "Socket closed: the server ended, or it wants TLS or a client's certificate and got none"
}
"""What is all that gRPC says of more than one cause."""

_RETRY_AFTER = re.compile(r"retry in (\d{1,6}) s")
"""In the refusal of an address that has failed too often."""

_RAN_PERHAPS: dict[str, Any] = {"details": {"may_have_run": True}, "retryable": False}


def _unknown(text: str) -> RPCError:
    return CommandOutcomeUnknownError(f"the server's answer is lost, the command may have run: {text}", **_RAN_PERHAPS)


def _timed_out(text: str) -> RPCError:
    return CommandTimeoutError(f"no answer from the server in time, the command may have run: {text}", **_RAN_PERHAPS)


def _limited(text: str) -> RPCError:
    if _ANSWER_TOO_LARGE in text:
        return _unknown(f"it is larger than GRPC['max_message_bytes'] allows ({text})")
    if _TOO_LARGE in text:
        return InvalidParamsError(f"the command is larger than GRPC['max_message_bytes']: {text}")
    blocked = _RETRY_AFTER.search(text)
    return CommandError(
        f"the server takes no more: {text}",
        code=RPCErrorCode.RATE_LIMIT_EXCEEDED,
        retryable=blocked is not None,
        retry_after=float(blocked[1]) if blocked else None,
    )


def _refused(text: str) -> RPCError:
    return CommandError(f"the server refused the call: {text}")


def _missing(text: str) -> RPCError:
    return CommandError(
        f"the server has no such method ({text}): does a grpc_handlers(server) there add the servicer?",
        code=RPCErrorCode.METHOD_NOT_FOUND,
    )


_GRPC_STATUS: Mapping[grpc.StatusCode, Callable[[str], RPCError]] = {
    Code.OK: _unknown,
    Code.CANCELLED: _unknown,
    Code.UNKNOWN: _unknown,
    Code.INVALID_ARGUMENT: InvalidParamsError,
    Code.DEADLINE_EXCEEDED: _timed_out,
    Code.NOT_FOUND: _refused,
    Code.ALREADY_EXISTS: _refused,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.UNAUTHENTICATED: UnauthorizedError,
    Code.RESOURCE_EXHAUSTED: _limited,
    Code.FAILED_PRECONDITION: _refused,
    Code.ABORTED: _unknown,
    Code.UNIMPLEMENTED: _missing,
    Code.INTERNAL: _unknown,
    Code.UNAVAILABLE: _unknown,
    Code.DATA_LOSS: _unknown,
    Code.OUT_OF_RANGE: _refused,
}


def failure_of(error: grpc.RpcError, address: str, *, connected: bool) -> RPCError:
    """The exception for a caller, whatever the status; `connected` as for `never_sent`."""
    code, text = _status(error)
    if stream_refused(error):
        return ServiceUnavailableError(f"the server at {address} takes no more calls at once, nothing has run: {text}")
    if never_sent(error, connected=connected):
        return not_reached(address, text)
    if _TOO_LARGE in text and _is_answer(error):
        return _unknown(f"{address}: {code.name} {text}")
    return _GRPC_STATUS[code](f"{address}: {code.name} {text}".rstrip())


def never_sent(error: grpc.RpcError, *, connected: bool) -> bool:
    """Whether the server has certainly not seen the call; False where that is not known.

    `connected` is whether there is a connection right after the call: such a text may then be one that a server has
    written, of a call that it made itself.
    """
    return not connected and _says(error, _NEVER_SENT)


def stream_refused(error: grpc.RpcError) -> bool:
    """Whether the connection was there and had no room for one more call, which nobody has seen then."""
    return _says(error, _REFUSED_STREAM)


def _says(error: grpc.RpcError, texts: tuple[str, ...]) -> bool:
    code, text = _status(error)
    return code is Code.UNAVAILABLE and text.startswith(texts) and not _is_answer(error)


def _is_answer(error: grpc.RpcError) -> bool:
    """Whether the words are a servicer's, of a call that it made perhaps, and not gRPC's own, which bring nothing."""
    call: Any = error
    return bool(call.trailing_metadata())


def not_reached(address: str, why: str) -> ServiceUnavailableError:
    """Nothing was sent."""
    return ServiceUnavailableError(f"no connection to the gRPC server at {address}, nothing was sent: {why}")


def _status(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    call: Any = error
    text = call.details() or ""
    return call.code(), _EXPLAINED.get(text, text)
