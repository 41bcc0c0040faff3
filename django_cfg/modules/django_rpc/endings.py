"""Pure: what is written to Redis when an entry has ended: its reply, its record, or a dead letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from django_cfg.errors import CallTimeoutError
from django_cfg.modules.django_rpc import protocol, scripts
from django_cfg.modules.django_rpc.intake import Malformed, Request
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.rpc.call import Reply

__all__ = ["Command", "Ending", "dead_letter", "dropped", "ended", "finish_command", "malformed_reply", "refused"]

Command: TypeAlias = tuple[str | bytes | int, ...]

MOST_DEAD_LETTERS = 10_000
LONGEST_REASON = 500


class Ending(msgspec.Struct, frozen=True):
    """`commands` besides the removal of the entry."""

    entry_id: str
    commands: tuple[Command, ...]


def ended(request: Request, reply: Reply, keys: Keys, now: datetime, reply_ttl: int) -> Ending:
    """The call has run, or is answered from its record: the caller's reply, and the record for repeats."""
    commands = _reply_commands(request, reply, now, reply_ttl)
    key = keys.call(request.correlation_id)
    if request.key and reply.error is not None and reply.error.retryable:
        return Ending(request.entry_id, (*commands, _own(request, keys, "DEL", key)))  # the next attempt runs
    record = protocol.finished_record(request.mark, protocol.dump_reply(reply), keyed=bool(request.key))
    return Ending(request.entry_id, (*commands, ("SET", key, record, "EX", int(request.keep_seconds))))


def refused(request: Request, reply: Reply, keys: Keys, now: datetime, reply_ttl: int, *, forget: bool) -> Ending:
    """It has not run. `forget`: nobody has run it under this id; see `_forget`."""
    commands = _reply_commands(request, reply, now, reply_ttl)
    return Ending(request.entry_id, (*commands, _forget(request, reply, keys)) if forget else commands)


def dropped(request: Request, keys: Keys) -> Ending:
    """Its caller has stopped waiting before it began."""
    late = Reply.of_error(CallTimeoutError(f"{request.method} was dropped at its deadline, before it began"))
    return Ending(request.entry_id, (_forget(request, late, keys),))


def dead_letter(
    entry_id: str, fields: Mapping[bytes, bytes], reason: str, deliveries: int, keys: Keys, at_ms: int
) -> Command:
    """The entry as it was, with why it is here."""
    command: list[str | bytes | int] = ["XADD", keys.dead, "MAXLEN", "~", MOST_DEAD_LETTERS, "*"]
    for name, value in fields.items():
        if name != b"fresh":  # that belongs to the first time alone
            command += [name, value]
    facts: dict[str, str | int] = {
        "reason": reason[:LONGEST_REASON],
        "entry_id": entry_id,
        "deliveries": deliveries,
        "died_at_ms": at_ms,
    }
    for fact, text in facts.items():
        command += [fact, text]
    return tuple(command)


def malformed_reply(entry: Malformed, reply: Reply, now: datetime, reply_ttl: int) -> tuple[Command, ...]:
    """Tells whoever sent it, where that can be found out."""
    if entry.reply_to is None:
        return ()
    message = protocol.render_response(reply, entry.correlation_id, now, typed=entry.typed)
    return _push(entry.reply_to, message, reply_ttl)


def finish_command(endings: Sequence[Ending], keys: Keys, consumer: str) -> Command:
    """One step: a reply is there exactly when its entry has gone, and never without an expiry; see scripts.FINISH."""
    words: list[str | bytes | int] = [keys.group, consumer]
    for ending in endings:
        words += [ending.entry_id, len(ending.commands)]
        for command in ending.commands:
            words.append(len(command))
            words += command
    return ("EVALSHA", scripts.FINISH_SHA, 1, keys.stream, *words)


def _forget(request: Request, reply: Reply, keys: Keys) -> Command:
    """What has not run may be sent again under its id, unless it could be played back: then that gets this reply."""
    key = keys.call(request.correlation_id)
    if not request.signed or request.key:
        return _own(request, keys, "DEL", key)
    record = protocol.finished_record(request.mark, protocol.dump_reply(reply), keyed=False)
    return _own(request, keys, "SET", key, record, "EX", int(request.keep_seconds))


def _own(request: Request, keys: Keys, *command: str | bytes | int) -> Command:
    """Unless the record is another entry's: anybody may name its id."""
    return ("OWN", keys.call(request.correlation_id), protocol.taken_record(request.mark, request.entry_id), *command)


def _reply_commands(request: Request, reply: Reply, now: datetime, reply_ttl: int) -> tuple[Command, ...]:
    if request.reply_to is None:
        return ()
    message = protocol.render_response(
        reply, request.correlation_id, now, typed=request.typed, extended=request.extended
    )
    return _push(request.reply_to, message, reply_ttl)


def _push(reply_to: str, message: bytes, reply_ttl: int) -> tuple[Command, ...]:
    return ("LPUSH", reply_to, message), ("EXPIRE", reply_to, reply_ttl)
