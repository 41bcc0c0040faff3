"""Pure: a caller's request on its way out, and what a caller knows after it has lost its link to Redis."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TypeAlias

import msgspec

from django_cfg.errors import (
    MalformedMessageError,
    NoResponders,
    RPCConnectionError,
    RPCError,
    RPCErrorCode,
    RPCOverloadedError,
)
from django_cfg.modules.django_rpc import protocol, scripts
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.signing import SIGNATURE, USER, Signer
from django_cfg.rpc.call import Reply

__all__ = [
    "AfterLoss",
    "Outgoing",
    "after_loss",
    "enqueue_command",
    "look_command",
    "outcome_unknown",
    "prepare",
    "read_answer",
    "refused",
    "reply_denied",
    "unreachable",
]

Argument: TypeAlias = str | bytes | int

FUSE = 10
"""The stream is trimmed at so many times the limit: only where requests come past our script."""

MAX_PARAMS_BYTES = protocol.MAX_PAYLOAD_BYTES - 1024
"""The rest is for what stands around them in the payload."""

RETRY_AFTER_SECONDS = 1.0
IDS_AT_ONCE = 64

_random_digits: list[str] = []
os.register_at_fork(after_in_child=_random_digits.clear)  # its parent will use them


class Outgoing(msgspec.Struct, frozen=True):
    """`timeout_seconds` 0: nobody waits for a reply. `key`: the caller's idempotency key. `signer`: signs it."""

    method: str
    params: bytes
    correlation_id: str
    timeout_seconds: float
    mark: bytes
    key: str = ""
    traceparent: str = ""
    as_user: str = ""
    signer: Signer | None = None

    @property
    def keep_ms(self) -> int:
        """How long its record lasts if no server ever touches it."""
        after = protocol.KEYED_SECONDS if self.key else protocol.KEPT_SECONDS
        # A signed one that has waited for long runs by its record alone; how many wait is bounded.
        endless = protocol.NO_DEADLINE_SECONDS if self.signer is not None else 0.0
        return int(((self.timeout_seconds or endless) + after) * 1000)


def new_correlation_id() -> str:
    """A random UUID of version 4, as older servers demand; `uuid.uuid4` takes several times as long."""
    try:
        digits = _random_digits.pop()
    except IndexError:
        digits = _more_digits()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _more_digits() -> str:
    """Many at once: whoever asks the system lets other threads go first."""
    digits = os.urandom(16 * IDS_AT_ONCE).hex()
    _random_digits.extend(digits[at : at + 32] for at in range(32, len(digits), 32))
    return digits[:32]


class AfterLoss(Enum):
    """What to do with a call after the link on which it was sent has broken."""

    ANSWER = "answer"
    WAIT = "wait"
    RESEND = "resend"
    UNKNOWN = "unknown"


def prepare(
    method: str,
    params: bytes,
    timeout_seconds: float,
    key: str = "",
    *,
    stream: str = protocol.DEFAULT_STREAM,
    as_user: str = "",
    signer: Signer | None = None,
) -> Outgoing:
    """A request with an id of its own, or the one that belongs to its key; raises MalformedMessageError."""
    if len(params) > MAX_PARAMS_BYTES:
        raise MalformedMessageError(
            f"the parameters of {method} have {len(params)} bytes as JSON, and nothing was sent; the limit is "
            f"{MAX_PARAMS_BYTES}: keep what is larger in a file or a table, and send its key"
        )
    correlation_id = protocol.keyed_correlation_id(method, key, stream) if key else new_correlation_id()
    mark = (protocol.keyed_mark if key else protocol.call_mark)(method, params, as_user)
    return Outgoing(method, params, correlation_id, timeout_seconds, mark, key, as_user=as_user, signer=signer)


def enqueue_command(
    keys: Keys, most: int, requests: Sequence[tuple[Outgoing, str]], *, refusal_list: str | None = None
) -> tuple[Argument, ...]:
    """EVALSHA of the enqueueing script for requests, each with its reply list; see scripts.ENQUEUE."""
    names: list[Argument] = [keys.stream, keys.servers]
    names += [keys.call(outgoing.correlation_id) for outgoing, _ in requests]
    if refusal_list is not None:
        names.append(refusal_list)
    arguments: list[Argument] = [keys.group, most, FUSE * most, len(requests)]
    now = datetime.now(UTC)
    for outgoing, reply_to in requests:
        fields = _fields(outgoing, reply_to, now)
        waits = int(outgoing.timeout_seconds > 0)
        arguments += [waits, outgoing.keep_ms, outgoing.mark, len(fields), *fields]
    return ("EVALSHA", scripts.ENQUEUE_SHA, len(names), *names, *arguments)


def read_answer(answer: bytes, method: str) -> str:
    """The entry's id; raises NoResponders, RPCOverloadedError."""
    if answer == scripts.NO_RESPONDERS:
        raise NoResponders(method=method)
    if answer == scripts.OVERLOADED:
        raise RPCOverloadedError(retry_after=RETRY_AFTER_SECONDS)
    return answer.decode()


def after_loss(
    outgoing: Outgoing, record: bytes | None, *, there: bool, accepted: bool, same_run: bool
) -> tuple[AfterLoss, Reply | None]:
    """`record` is what stands under the call's id now; `there`: its entry is in the stream, or with a server.

    `accepted`: Redis had confirmed the request. `same_run`: it is still the Redis process that the request was sent to;
    another may have lost what that one knew.
    """
    if record is not None:
        state, kept = record[:1], record[1 + protocol.MARK_BYTES :]
        if state == protocol.FINISHED:
            return AfterLoss.ANSWER, protocol.read_reply(kept)
        # An entry that was trimmed or deleted ends without a word. In the same process one that is not there may also
        # have been refused a moment ago, and the refusal waits.
        may_come = state == protocol.TAKEN and (there or same_run)
        return (AfterLoss.WAIT if may_come else AfterLoss.UNKNOWN), None
    if accepted and same_run:
        return AfterLoss.WAIT, None
    # The script writes record and entry as one: no record in the same process means that nothing was enqueued. And if
    # the script is still on its way, the second request is not the first under its id, and will not run.
    return (AfterLoss.RESEND if same_run or outgoing.key else AfterLoss.UNKNOWN), None


def look_command(keys: Keys, calls: Sequence[tuple[Outgoing, str | None]]) -> tuple[Argument, ...]:
    """What became of calls, each with its entry's id if Redis had confirmed it; see scripts.LOOK."""
    records = [keys.call(outgoing.correlation_id) for outgoing, _ in calls]
    entry_ids = [entry_id or "" for _, entry_id in calls]
    return ("EVAL", scripts.LOOK, 1 + len(calls), keys.stream, *records, keys.group, *entry_ids)


def outcome_unknown(method: str, why: str) -> RPCError:
    """The request was sent, and what became of it cannot be found out."""
    return RPCConnectionError(f"{method} may have run: {why}", code=RPCErrorCode.OUTCOME_UNKNOWN)


def reply_denied(method: str, error: BaseException) -> RPCError:
    """The request was sent, and the user of Redis may not read its reply."""
    return outcome_unknown(method, f"Redis lets nobody wait for its reply here: {error}")


def unreachable(error: BaseException) -> RPCError:
    """Nothing was sent."""
    return RPCConnectionError(f"Redis cannot be reached: {error}")


def refused(error: BaseException) -> RPCError:
    """Redis answered with an error (out of memory, read-only, no permission): nothing was enqueued."""
    return RPCConnectionError(f"Redis refused the request: {error}", code=RPCErrorCode.REDIS_ERROR)


def _fields(outgoing: Outgoing, reply_to: str, now: datetime) -> list[Argument]:
    payload = protocol.encode_request(
        outgoing.method, outgoing.params, outgoing.correlation_id, reply_to, outgoing.timeout_seconds, now
    )
    fields: list[Argument] = [protocol.PAYLOAD, payload, "v", "2"]
    if outgoing.timeout_seconds > 0:
        fields += ["timeout_ms", math.ceil(outgoing.timeout_seconds * 1000)]
    if outgoing.key:
        fields += ["key", outgoing.key]
    if outgoing.traceparent:
        fields += ["traceparent", outgoing.traceparent]
    if outgoing.signer is not None:
        fields += _signed_fields(outgoing, outgoing.signer, fields, now)
    return fields


def _signed_fields(outgoing: Outgoing, signer: Signer, fields: Sequence[Argument], now: datetime) -> list[Argument]:
    more: list[Argument] = [USER, outgoing.as_user] if outgoing.as_user else []
    texts = [part if isinstance(part, bytes) else str(part).encode() for part in (*fields, *more)]
    signed = dict(zip(texts[::2], texts[1::2], strict=True))
    signature = signer.sign(outgoing.correlation_id, outgoing.method, signed, int(now.timestamp() * 1000))
    return [*more, SIGNATURE, signature]
