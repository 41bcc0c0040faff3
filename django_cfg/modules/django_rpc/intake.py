"""Pure: what one stream entry asks for, and whether it is run. Redis's time is passed in, in seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from django_cfg.errors import MalformedMessageError
from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.redis_clock import remaining_seconds
from django_cfg.modules.django_rpc.sender import LONGEST_ID, read_sender
from django_cfg.modules.django_rpc.signing import OLDEST_SECONDS, SIGNATURE, USER, Signer, signed_seconds
from django_cfg.rpc.call import Call
from django_cfg.rpc.method import Transport
from django_cfg.rpc.signature import METHOD_NAME
from django_cfg.rpc.validation import MAX_DEPTH, check_json

__all__ = [
    "Malformed",
    "Request",
    "has_expired",
    "make_call",
    "needs_record",
    "read_entry",
    "resigned",
]

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Of the older model of a request, for one that names none."""

_EMPTY = msgspec.Raw(b"{}")


class _Payload(msgspec.Struct):
    method: str = ""
    params: msgspec.Raw = _EMPTY
    correlation_id: str = ""
    cid: str = ""
    reply_to: str | None = None
    timeout: float | None = None
    type: str = ""


class Request(msgspec.Struct, frozen=True):
    """A readable request. `reply_to` None: nobody waits. `timeout_seconds` 0: no deadline.

    `user` is what the caller says until its signature has been checked. A signed request is never `fresh`: whoever
    plays one back may say so, and only the record under its id can tell.
    """

    entry_id: str
    method: str
    params: bytes
    correlation_id: str
    reply_to: str | None
    timeout_seconds: float
    mark: bytes
    typed: bool = False
    extended: bool = False
    key: str = ""
    fresh: bool = False
    signed: bool = False
    signed_seconds: float = 0.0
    traceparent: str = ""
    user: str = ""
    deliveries: int = 1
    older_mark: bytes = b""

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Those that its record may have: older callers and servers mark a call with a key as any other."""
        return (self.mark, self.older_mark) if self.older_mark else (self.mark,)

    @property
    def keep_seconds(self) -> float:
        """How long its record lasts after it has ended."""
        return protocol.KEYED_SECONDS if self.key else protocol.KEPT_SECONDS


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry that cannot be run. `reply_to` is set when its caller can be told."""

    entry_id: str
    reason: str
    correlation_id: str | None = None
    reply_to: str | None = None
    typed: bool = False


def read_entry(
    entry_id: str, fields: Mapping[bytes, bytes], allowed: re.Pattern[str], *, deliveries: int = 1
) -> Request | Malformed:
    """`allowed` matches the keys that may get replies: a forged one would push into somebody's list, and expire it."""
    raw = fields.get(protocol.PAYLOAD, b"")
    try:
        payload = _decode(raw)
        request = _request(entry_id, payload, fields, deliveries)
    except MalformedMessageError as error:
        return _malformed(entry_id, raw, error.message, allowed)
    if request.reply_to is not None and not allowed.fullmatch(request.reply_to):
        return Malformed(entry_id, "reply_to is outside the response prefix", request.correlation_id)
    return request


def has_expired(request: Request, redis_now: float) -> bool:
    """Whether its caller has stopped waiting."""
    return request.timeout_seconds > 0 and _remaining(request, redis_now) <= 0


def needs_record(request: Request, redis_now: float) -> bool:
    """Whether only the record of its enqueueing proves that it is not played back: the first one's may have gone.

    When an entry was added proves nothing: whoever adds it may choose its id, and with that the moment.
    """
    return request.signed and redis_now - request.signed_seconds >= OLDEST_SECONDS


def make_call(request: Request, redis_now: float) -> Call:
    """For the runner: a service's call, with what is left of its time."""
    endless = request.timeout_seconds <= 0
    return Call(
        method=request.method,
        params=request.params,
        timeout_seconds=protocol.NO_DEADLINE_SECONDS if endless else max(0.0, _remaining(request, redis_now)),
        user_id=request.user or None,
        correlation_id=request.correlation_id,
        meta={
            "idempotency_key": request.key or None,
            "delivery_count": request.deliveries,
            "traceparent": request.traceparent or None,
        },
        transport=Transport.REDIS,
        is_service=True,
    )


def resigned(fields: Mapping[bytes, bytes], signer: Signer, now_ms: int) -> bytes:
    """The signature under which an entry may be added again; as it is where it was not right."""
    try:
        payload = _decode(fields.get(protocol.PAYLOAD, b""))
    except MalformedMessageError:
        return fields[SIGNATURE]
    return signer.renew(payload.correlation_id or payload.cid, payload.method, fields, now_ms)


def _remaining(request: Request, redis_now: float) -> float:
    return remaining_seconds(request.entry_id, request.timeout_seconds, redis_now)


def _decode(raw: bytes) -> _Payload:
    if not raw:
        raise MalformedMessageError("the entry has no field 'payload'")
    if len(raw) > protocol.MAX_PAYLOAD_BYTES:
        raise MalformedMessageError(f"the payload has {len(raw)} bytes; the limit is {protocol.MAX_PAYLOAD_BYTES}")
    try:
        payload = msgspec.json.decode(raw, type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        check_json(raw)
        raise MalformedMessageError(f"the request does not have the right shape: {error}") from error
    check_json(bytes(payload.params), max_depth=MAX_DEPTH - 1)
    return payload


def _request(entry_id: str, payload: _Payload, fields: Mapping[bytes, bytes], deliveries: int) -> Request:
    correlation_id = payload.correlation_id or payload.cid
    if not 0 < len(correlation_id) <= LONGEST_ID:
        raise MalformedMessageError("correlation_id must have 1 to 200 characters")
    if not METHOD_NAME.fullmatch(payload.method):
        raise MalformedMessageError("method must be a name of at most 128 letters, digits, '_', '-' and '.'")
    params = bytes(payload.params)
    params = b"{}" if params == b"null" else params
    timeout = _timeout(payload, fields)
    user, key = _text(fields, USER), _text(fields, b"key")
    mark = protocol.call_mark(payload.method, params, user)
    signed = SIGNATURE in fields
    return Request(
        entry_id=entry_id,
        method=payload.method,
        params=params,
        correlation_id=correlation_id,
        reply_to=payload.reply_to or None if timeout > 0 else None,
        timeout_seconds=timeout,
        mark=protocol.keyed_mark(payload.method, params, user) if key else mark,
        older_mark=mark if key else b"",
        typed=payload.type == "rpc",
        extended=b"v" in fields,
        key=key,
        fresh=b"fresh" in fields and not signed,
        signed=signed,
        signed_seconds=signed_seconds(fields[SIGNATURE]) if signed else 0.0,
        traceparent=_text(fields, b"traceparent"),
        user=user,
        deliveries=deliveries,
    )


def _timeout(payload: _Payload, fields: Mapping[bytes, bytes]) -> float:
    """The exact one beside the payload wins over the whole seconds in it."""
    exact = fields.get(b"timeout_ms", b"")
    if exact.isdigit() and len(exact) < 12:
        return int(exact) / 1000
    timeout = DEFAULT_TIMEOUT_SECONDS if payload.timeout is None else payload.timeout
    if timeout < 0:
        raise MalformedMessageError("timeout must not be negative")
    return min(timeout, protocol.NO_DEADLINE_SECONDS)


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields[name].decode(errors="replace") if name in fields else ""


def _malformed(entry_id: str, raw: bytes, reason: str, allowed: re.Pattern[str]) -> Malformed:
    """Whoever can be found in what cannot be read is told."""
    sender = read_sender(raw)
    reply_to = sender.reply_to
    if reply_to is None or not allowed.fullmatch(reply_to):
        reply_to = None
    return Malformed(entry_id, reason, sender.correlation_id, reply_to, sender.typed)
