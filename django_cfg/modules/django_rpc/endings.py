"""Pure: what is written to Redis when an entry has ended: its reply, its record, or a dead letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from django_cfg.modules.django_rpc import protocol, scripts
from django_cfg.modules.django_rpc.intake import Malformed, Request
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.rpc.call import Reply, stopped

__all__ = ["Command", "Ending", "dead_letter", "dropped", "ended", "finish_command", "malformed", "refused"]

Command: TypeAlias = tuple[str | bytes | int, ...]

MOST_DEAD_LETTERS = 10_000
LONGEST_REASON = 500
_NO_REPLY, _NO_RECORD = ("", b""), ("", b"", 0)


class Ending(msgspec.Struct, frozen=True):
    """`reply`: the list that it goes to, and itself. `record`: its key, itself, and how many seconds it lasts.

    `commands` besides them and the removal of the entry.
    """

    entry_id: str
    reply: tuple[str, bytes] | None = None
    record: tuple[str, bytes, int] | None = None
    commands: tuple[Command, ...] = ()


def ended(request: Request, reply: Reply, keys: Keys, now: datetime, letter: Command | None = None) -> Ending:
    """The call has run, or is answered from its record: the caller's reply, and the record for repeats.

    With a dead `letter` it is given up: no further attempt under its key runs, whatever the reply.
    """
    told, key = _told(request, reply, now), keys.call(request.correlation_id)
    if request.key and letter is None and not protocol.is_final(reply):
        return Ending(request.entry_id, told, None, _own(request, keys, "DEL", key))  # the next attempt runs
    record = protocol.finished_record(request.mark, protocol.dump_reply(reply), keyed=bool(request.key))
    more = () if letter is None else (letter,)
    return Ending(request.entry_id, told, (key, record, int(request.keep_seconds)), more)


def refused(
    request: Request, reply: Reply, keys: Keys, now: datetime, *, forget: bool, letter: Command | None = None
) -> Ending:
    """It has not run. `forget`: nobody has run it under this id; see `_forget`."""
    commands = _forget(request, reply, keys) if forget else ()
    more = () if letter is None else (letter,)
    return Ending(request.entry_id, _told(request, reply, now), None, commands + more)


def dropped(request: Request, keys: Keys) -> Ending:
    """Its caller has stopped waiting before it began."""
    late = Reply.of_error(stopped(f"{request.method} was dropped at its deadline, before it began"))
    return Ending(request.entry_id, commands=_forget(request, late, keys))


def dead_letter(
    entry_id: str, fields: Mapping[bytes, bytes], reason: str, deliveries: int, keys: Keys, at_ms: int
) -> Command:
    """The entry as it was, with why it is here; a payload above the limit is not kept."""
    command: list[str | bytes | int] = ["XADD", keys.dead, "MAXLEN", "~", MOST_DEAD_LETTERS, "*"]
    for name, value in fields.items():
        too_large = name == protocol.PAYLOAD and len(value) > protocol.MAX_PAYLOAD_BYTES
        if name != b"fresh" and not too_large:  # `fresh` belongs to the first time alone
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


def malformed(entry: Malformed, reply: Reply, now: datetime, letter: Command) -> Ending:
    """Whoever sent it is told, where that can be found out."""
    told = None
    if entry.reply_to is not None:
        told = entry.reply_to, protocol.render_response(reply, entry.correlation_id, now, typed=entry.typed)
    return Ending(entry.entry_id, told, None, (letter,))


def finish_command(endings: Sequence[Ending], keys: Keys, consumer: str, reply_ttl: int) -> Command:
    """One step: a reply is there exactly when its entry has gone, and never without an expiry; see scripts.FINISH."""
    words: list[str | bytes | int] = [keys.group, consumer, reply_ttl]
    for ending in endings:
        words += (ending.entry_id, *(ending.reply or _NO_REPLY), *(ending.record or _NO_RECORD), len(ending.commands))
        for command in ending.commands:
            words.append(len(command))
            words += command
    return ("EVALSHA", scripts.FINISH_SHA, 1, keys.stream, *words)


def _forget(request: Request, reply: Reply, keys: Keys) -> tuple[Command, ...]:
    """What has not run may be sent again under its id, unless it could be played back: then that gets this reply."""
    key = keys.call(request.correlation_id)
    if not request.signed or request.key:
        return _own(request, keys, "DEL", key)
    record = protocol.finished_record(request.mark, protocol.dump_reply(reply), keyed=False)
    return _own(request, keys, "SET", key, record, "EX", int(request.keep_seconds))


def _own(request: Request, keys: Keys, *command: str | bytes | int) -> tuple[Command, ...]:
    """Unless the record is another entry's: anybody may name its id."""
    records = protocol.taken_records(request.marks, request.entry_id)
    return tuple(("OWN", keys.call(request.correlation_id), record, *command) for record in records)


def _told(request: Request, reply: Reply, now: datetime) -> tuple[str, bytes] | None:
    """The reply and its list, where somebody waits for it."""
    if request.reply_to is None:
        return None
    return request.reply_to, protocol.render_response(
        reply, request.correlation_id, now, typed=request.typed, extended=request.extended
    )
