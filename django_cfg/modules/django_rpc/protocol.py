"""Pure: the contract in Redis, wire-compatible with django-ipc 1.0.9.

`<stream>` is the configured request stream (or bridge stream); every moment is Redis's own clock.

Key                        Type    Written by   Holds, and how long it lives
`<stream>`                 stream  callers      one entry per request; servers remove an entry with its reply
`<stream>:dead`            stream  servers      entries that nobody will run, with `reason`; the newest 10,000 or so
`<prefix><id>`             list    servers      replies of one call, or of one process; 60 s (`response_key_ttl`)
`rpc:servers:<stream>`     zset    servers      consumer -> ms until which it lives, negative while it drains; and
                                                "served" -> 0: servers of this kind have been here; a day
`rpc:call:<correlation>`   string  callers,     `?` mark entry: enqueued as that entry; `=` mark reply: finished; `!`
                                   servers      mark: finished, its reply too large to keep. The mark binds it to method
                                                and parameters. Until two minutes after the deadline or, where it has an
                                                idempotency key, a day
`rpc:listener:<channel>:`  string  servers      with `<stream>`: the one that delivers broadcasts to browsers; 5 s

Fields of a request entry: `payload`, the JSON that django-ipc knows, and beside it, which django-ipc ignores:
`v` (the caller reads the reply's key `error_data`), `key` (an idempotency key), `fresh` (this correlation id was never
enqueued before: set by the enqueueing script alone), `timeout_ms` (the exact one), `traceparent`, `user` (the caller
speaks for that user; only with a signature), `signature` (of all that counts: see `signing`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from pydantic_core import to_json

from django_cfg.errors import MalformedMessageError
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.models.websocket import RPCErrorCode
from django_cfg.modules.django_rpc.canonical import canonical
from django_cfg.rpc.call import Reply
from django_cfg.rpc.failure import wire_error

__all__ = [
    "DEFAULT_STREAM",
    "FINISHED",
    "FINISHED_UNKEPT",
    "KEPT_SECONDS",
    "KEYED_SECONDS",
    "MAX_PAYLOAD_BYTES",
    "NO_DEADLINE_SECONDS",
    "OUR_PREFIX",
    "PAYLOAD",
    "TAKEN",
    "Keys",
    "call_mark",
    "dump_reply",
    "encode_request",
    "entry_of",
    "finished_record",
    "is_final",
    "keyed_correlation_id",
    "keyed_mark",
    "read_reply",
    "read_response",
    "render_response",
    "reply_pattern",
    "taken_record",
    "taken_records",
]

DEFAULT_STREAM = "stream:requests"
PAYLOAD = b"payload"
OUR_PREFIX = "rpc-"
"""Begins the names of consumers that say that they live."""

KEPT_SECONDS = 120
KEYED_SECONDS = 86_400
NO_DEADLINE_SECONDS = 86_400.0
"""What a request without a deadline may take."""

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Of one request; servers refuse larger ones unread."""

LARGEST_KEPT_REPLY = 16 * 1024
LARGEST_KEPT_KEYED_REPLY = 1024 * 1024
MARK_BYTES = 16
TAKEN, FINISHED, FINISHED_UNKEPT = b"?", b"=", b"!"
LONGEST_WIRE_TIMEOUT = 300
"""Whole seconds that django-ipc's model of a request allows; `timeout_ms` carries longer ones."""

_NOT_FINAL = (RPCErrorCode.OUTCOME_UNKNOWN, RPCErrorCode.METHOD_NOT_FOUND)
"""Another server may run the call to its end, or know the method: an older one answers, too, while a project moves."""

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""All that JSON from others may cause where it is read."""

_RESULT_HEAD = b'{"result":'
_KEY_NAMESPACE = uuid.UUID("a9d8e6d8-52a1-5c6e-9a3c-2f6f0a4d7b11")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one stream; see the table above."""

    stream: str
    group: str
    reply_prefix: str

    @property
    def servers(self) -> str:
        return f"rpc:servers:{self.stream}"

    @property
    def dead(self) -> str:
        return f"{self.stream}:dead"

    def reply(self, name: str) -> str:
        return self.reply_prefix + name

    @staticmethod
    def call(correlation_id: str) -> str:
        return f"rpc:call:{correlation_id}"


def reply_pattern(prefix: str) -> re.Pattern[str]:
    """Where a server may put replies: under the prefix and nowhere else, for it also sets an expiry there."""
    return re.compile(re.escape(prefix) + r"[A-Za-z0-9_.:-]{1,150}")


def call_mark(method: str, params: bytes, user: str = "") -> bytes:
    """Binds a correlation id to one method, its parameters, however the JSON is spaced, and for whom it is called."""
    try:
        params = msgspec.json.format(params, indent=-1)
    except msgspec.DecodeError as error:
        raise MalformedMessageError("the parameters are not valid JSON") from error
    return _mark(method, params, user)


def keyed_mark(method: str, params: bytes, user: str = "") -> bytes:
    """The same of a call with an idempotency key: also the order of keys and the spelling of numbers do not count."""
    return _mark(method, canonical(params), user)


def _mark(method: str, params: bytes, user: str) -> bytes:
    bound = f"{method}\0{user}" if user else method
    return hashlib.blake2b(bound.encode() + b"\0" + params, digest_size=MARK_BYTES).digest()


def keyed_correlation_id(method: str, idempotency_key: str, stream: str = DEFAULT_STREAM) -> str:
    """The same for every attempt under one key of a stream, so that attempts meet in one record."""
    # Of the default stream it is as it always was, so that attempts meet also while a project moves to a newer version.
    namespace = _KEY_NAMESPACE if stream == DEFAULT_STREAM else uuid.uuid5(_KEY_NAMESPACE, stream)
    return str(uuid.uuid5(namespace, f"{method}\0{idempotency_key}"))


def encode_request(
    method: str, params: bytes, correlation_id: str, reply_to: str, timeout_seconds: float, now: datetime
) -> bytes:
    """The payload as the older client writes it; a timeout of 0 means that nobody waits."""
    timeout = min(LONGEST_WIRE_TIMEOUT, -int(-timeout_seconds // 1))
    return b'{"correlation_id":%b,"timestamp":"%b","method":%b,"reply_to":%b,"timeout":%d,"params":%b}' % (
        to_json(correlation_id),
        _timestamp(now),
        to_json(method),
        to_json(reply_to),
        timeout,
        params,
    )


def dump_reply(reply: Reply) -> bytes:
    """The reply as records keep it: `{"result": ...}` or `{"error": {...}}`."""
    if reply.error is not None:
        return b'{"error":' + reply.error.model_dump_json().encode() + b"}"
    return _RESULT_HEAD + (reply.result or b"null") + b"}"


def read_reply(kept: bytes) -> Reply:
    """The reverse of `dump_reply`."""
    if kept.startswith(_RESULT_HEAD):
        return Reply(result=kept[len(_RESULT_HEAD) : -1])
    return Reply(error=WireError.model_validate_json(kept[len(b'{"error":') : -1]))


def is_final(reply: Reply) -> bool:
    """Whether it answers every further attempt under its idempotency key; after any other the next attempt runs."""
    error = reply.error
    return error is None or not (error.retryable or error.code in _NOT_FINAL)


def taken_record(mark: bytes, entry_id: str) -> bytes:
    """The record of a call that has not ended; its entry is named, so that no other is taken for the first."""
    return TAKEN + mark + entry_id.encode()


def taken_records(marks: Iterable[bytes], entry_id: str) -> list[bytes]:
    """One for each of the marks that a call may have."""
    return [taken_record(mark, entry_id) for mark in marks]


def entry_of(record: bytes | None) -> str | None:
    """The entry that a record of a call that has not ended names."""
    return record[1 + MARK_BYTES :].decode() if record is not None and record[:1] == TAKEN else None


def finished_record(mark: bytes, kept_reply: bytes, *, keyed: bool) -> bytes:
    """The record of a call that has ended; large replies are not kept for repeats."""
    largest = LARGEST_KEPT_KEYED_REPLY if keyed else LARGEST_KEPT_REPLY
    return FINISHED + mark + kept_reply if len(kept_reply) <= largest else FINISHED_UNKEPT + mark


class _ErrorData(msgspec.Struct):
    details: msgspec.Raw = msgspec.Raw(b"null")
    retryable: bool = False
    retry_after: float | None = None


class _ErrorObject(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Response(msgspec.Struct):
    correlation_id: str | None = None
    success: bool | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str | _ErrorObject | None = None
    error_code: str | None = None
    error_data: _ErrorData | None = None


def render_response(
    reply: Reply, correlation_id: str | None, now: datetime, *, typed: bool = False, extended: bool = False
) -> bytes:
    """What goes into the reply list: exactly the keys that the request's kind of client knows.

    `typed` clients (their requests say `"type": "rpc"`) find errors by `type` and take a null result for a fault;
    `extended` ones, ours, read one key more.
    """
    error = reply.error
    if error is not None and typed:
        return b'{"type":"error","error":{"code":%b,"message":%b}}' % (to_json(error.code), to_json(error.message))
    head = b'{"correlation_id":%b,"timestamp":"%b",' % (to_json(correlation_id), _timestamp(now))
    if error is not None:
        more = b',"error_data":' + error.model_dump_json(exclude={"code", "message"}).encode() if extended else b""
        return head + b'"success":false,"error":%b,"error_code":%b,"result":null%b}' % (
            to_json(error.message),
            to_json(error.code),
            more,
        )
    result = reply.result or b"null"
    if typed and result == b"null":
        result = b"{}"
    return head + b'"success":true,"error":null,"error_code":null,"result":%b}' % result


def read_response(message: bytes) -> tuple[str | None, Reply]:
    """The correlation id and the reply of any kind of server; raises MalformedMessageError."""
    try:
        response = msgspec.json.decode(message, type=_Response)
    except _UNREADABLE as error:
        raise MalformedMessageError(f"the reply cannot be read: {error}") from error
    if response.success and response.error is None:
        return response.correlation_id, Reply(result=bytes(response.result))
    return response.correlation_id, Reply(error=_response_error(response))


def _response_error(response: _Response) -> WireError:
    given = response.error
    if isinstance(given, _ErrorObject):
        code, message = given.code, given.message
    else:
        code, message = response.error_code or "", given or ""
    code = code or RPCErrorCode.INTERNAL_ERROR
    known = code in RPCErrorCode.__members__.values()
    data = response.error_data or _ErrorData(retryable=known and RPCErrorCode(code).retryable)
    try:
        return WireError(
            code=code,
            message=message[:500] or code,
            details=msgspec.json.decode(data.details),
            retryable=data.retryable,
            retry_after=data.retry_after,
        )
    except _UNREADABLE:
        return wire_error(MalformedMessageError("the server's error does not have the right shape"))


@lru_cache(maxsize=1)
def _timestamp(moment: datetime) -> bytes:
    return b"%bZ" % moment.astimezone(UTC).isoformat(timespec="microseconds")[:26].encode()
