"""Pure: Centrifugo proxy request -> call, and reply -> proxy answer or publication.

Who calls is the request's `user` and `client`, which Centrifugo has authenticated. Nothing in `data` is believed: not
its `reply_to`, not a user id in its parameters. Every channel but the request channel is refused, because
`rpc.requests` and the users' reply channels share one set of Centrifugo options and a client could otherwise publish
forged replies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from pydantic_core import to_json

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.identity import REQUEST_CHANNEL, is_user_id, user_channel
from django_cfg.apps.centrifugo.proxy_wire import (
    ProxyAnswer,
    ProxyError,
    ProxyResult,
    PublishProxyRequest,
    RPCProxyRequest,
)
from django_cfg.errors import (
    CallTimeoutError,
    MalformedMessageError,
    PermissionDeniedError,
    RPCError,
    RPCErrorCode,
    UnauthorizedError,
)
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.call import Call, Reply, allowed_seconds, keep_seconds
from django_cfg.rpc.failure import wire_error
from django_cfg.rpc.invoke import method_not_found
from django_cfg.rpc.signature import METHOD_NAME
from django_cfg.rpc.validation import check_json

__all__ = [
    "ACCEPTED",
    "CallLimits",
    "encode_reply",
    "read_publish",
    "read_rpc",
    "refusal",
    "reply_channel",
    "rpc_answer",
]

ACCEPTED = ProxyAnswer(result=ProxyResult(skip_history=True))
"""Without `skip_history` every request would stay in the history of the request channel."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_EMPTY = msgspec.Raw(b"{}")


class _Envelope(msgspec.Struct):
    method: str = ""
    params: msgspec.Raw = _EMPTY
    correlation_id: str = ""
    timeout_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CallLimits:
    max_request_bytes: int
    default_timeout_seconds: float
    longest_timeout_seconds: float

    @classmethod
    def of(cls, config: CentrifugoConfig) -> CallLimits:
        return cls(config.max_request_bytes, config.default_timeout_seconds, config.longest_timeout_seconds)


def read_publish(request: PublishProxyRequest, limits: CallLimits) -> Call:
    """The call in a publication to the request channel; raises RPCError for everything that is to be refused."""
    _check_user(request.user)
    if request.channel != REQUEST_CHANNEL:
        raise PermissionDeniedError(f"clients may publish to {REQUEST_CHANNEL} only")
    data = _checked(request.data, limits)
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except msgspec.ValidationError as error:
        raise MalformedMessageError(f"the request does not have the right shape: {error}") from error
    if not _CORRELATION_ID.fullmatch(envelope.correlation_id):
        raise MalformedMessageError("correlation_id must be 1 to 128 characters of A-Z a-z 0-9 _ . : -")
    timeout = _timeout(envelope.timeout_ms, limits)
    return Call(
        method=_checked_method(envelope.method),
        params=_object_or_empty(envelope.params),
        timeout_seconds=timeout,
        keep_seconds=keep_seconds(envelope.timeout_ms, timeout),
        user_id=request.user,
        client_id=request.client,
        correlation_id=envelope.correlation_id,
        meta=_meta(request.meta),
    )


def read_rpc(request: RPCProxyRequest, limits: CallLimits) -> Call:
    """The call in a native RPC, whose data are the bare parameters; raises RPCError for what is to be refused."""
    _check_user(request.user)
    return Call(
        method=_checked_method(request.method),
        params=_object_or_empty(_checked(request.data, limits) if bytes(request.data) else request.data),
        timeout_seconds=limits.longest_timeout_seconds,
        user_id=request.user,
        client_id=request.client,
        meta=_meta(request.meta),
    )


def encode_reply(correlation_id: str, reply: Reply, max_reply_bytes: int) -> bytes:
    """The publication on the caller's channel; a reply over the limit becomes an error that says so."""
    message = _reply_message(correlation_id, reply)
    if len(message) <= max_reply_bytes:
        return message
    error = wire_error(_too_large(len(message), max_reply_bytes))
    if reply.error is not None:  # its code and text are what the caller needs most
        error = reply.error.model_copy(update={"details": None})
    return _reply_message(correlation_id, Reply(error=error))


def rpc_answer(reply: Reply, max_reply_bytes: int) -> ProxyAnswer:
    """The answer of the RPC proxy: the bare result, or Centrifugo's number, text and `temporary`."""
    if reply.error is not None:
        return _error_answer(reply.error)
    result = reply.result or b"null"
    if len(result) > max_reply_bytes:
        return refusal(_too_large(len(result), max_reply_bytes))
    return ProxyAnswer(result=ProxyResult(data=msgspec.Raw(result)))


def refusal(error: RPCError) -> ProxyAnswer:
    """The proxy's own error, which the caller sees at once."""
    return _error_answer(wire_error(error))


def reply_channel(call: Call) -> str:
    """Where the reply goes: the authenticated caller's channel, whatever the request says."""
    return user_channel(call.user_id or "")


def _error_answer(error: WireError) -> ProxyAnswer:
    # A code that a method declares has no number; its text arrives all the same.
    code = error.code if isinstance(error.code, RPCErrorCode) else RPCErrorCode.APPLICATION_ERROR
    return ProxyAnswer(error=ProxyError(code=code.number, message=error.message, temporary=error.retryable))


def _reply_message(correlation_id: str, reply: Reply) -> bytes:
    head = b'{"correlation_id":' + to_json(correlation_id)
    if reply.error is not None:
        return head + b',"error":' + reply.error.model_dump_json().encode() + b"}"
    return head + b',"result":' + (reply.result or b"null") + b"}"


def _check_user(user: str) -> None:
    if not user:
        raise UnauthorizedError("log in before calling")
    if not is_user_id(user):
        raise PermissionDeniedError("this user id cannot have a reply channel of its own")


def _checked(data: msgspec.Raw, limits: CallLimits) -> bytes:
    raw = bytes(data)
    if len(raw) > limits.max_request_bytes:
        raise MalformedMessageError(f"the request has {len(raw)} bytes; the limit is {limits.max_request_bytes}")
    check_json(raw)
    if not raw.lstrip().startswith(b"{"):
        raise MalformedMessageError("the request must be a JSON object")
    return raw


def _checked_method(method: str) -> str:
    if not method:
        raise MalformedMessageError("the request names no method")
    if not METHOD_NAME.fullmatch(method):
        raise method_not_found(method)
    return method


def _object_or_empty(params: bytes | msgspec.Raw) -> bytes:
    raw = bytes(params)
    return b"{}" if raw in (b"", b"null") else raw


def _timeout(asked_ms: float | None, limits: CallLimits) -> float:
    if asked_ms is not None and asked_ms <= 0:
        raise CallTimeoutError("the deadline had passed when the call arrived")
    return allowed_seconds(asked_ms, limits.default_timeout_seconds, limits.longest_timeout_seconds)


def _meta(meta: msgspec.Raw) -> dict[str, Any]:
    raw = bytes(meta)
    if not raw:
        return {}
    check_json(raw)
    decoded = msgspec.json.decode(raw)
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}


def _too_large(size: int, limit: int) -> RPCError:
    return MalformedMessageError(f"the result has {size} bytes; the limit is {limit} (max_reply_bytes)")
