"""Entries that nobody will run: list them, put them back, drop them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.connecting import Redis, pairs
from django_cfg.modules.django_rpc.intake import Request, read_entry, resigned
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.sender import read_sender
from django_cfg.modules.django_rpc.signing import SIGNATURE, USER, Signer

__all__ = ["DeadLetter", "drop", "find_letter", "list_letters", "requeue"]

FACTS = frozenset({b"reason", b"entry_id", b"deliveries", b"died_at_ms"})
"""Fields that a letter has beside those of its entry."""

MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`id` is the letter's own; `entry_id` and `fields` are those of the entry, as it was."""

    id: str
    entry_id: str
    reason: str
    deliveries: int
    died_at_ms: int
    fields: dict[bytes, bytes]

    @property
    def payload(self) -> str:
        return self._text(protocol.PAYLOAD)

    @property
    def user(self) -> str:
        """For whom the caller spoke; empty where it did not say."""
        return self._text(USER)

    @property
    def key(self) -> str:
        """The idempotency key, or empty."""
        return self._text(b"key")

    @property
    def timeout_ms(self) -> int | None:
        """How long the caller waited; None where nobody did, or only the payload says it."""
        return _number(self.fields.get(b"timeout_ms", b""))

    def _text(self, name: bytes) -> str:
        return self.fields.get(name, b"").decode(errors="replace")


def list_letters(redis: Redis, keys: Keys, count: int) -> list[DeadLetter]:
    """The newest first; raises one of FAILURES."""
    rows: Sequence[Any] = redis.run("XREVRANGE", keys.dead, "+", "-", "COUNT", count)
    return [_letter(row) for row in rows]


def find_letter(redis: Redis, keys: Keys, letter_id: str) -> DeadLetter | None:
    """Raises one of FAILURES."""
    rows: Sequence[Any] = redis.run("XRANGE", keys.dead, letter_id, letter_id)
    return _letter(rows[0]) if rows else None


def requeue(redis: Redis, keys: Keys, letter_id: str, signer: Signer) -> bool:
    """Put an entry back as a new one, under an id that is free again; False when there is none.

    One that was signed is signed anew: whoever may requeue answers for it.

    Raises ValueError for one whose payload was too large to be kept, and one of FAILURES; if the link breaks in
    between the letter is still there.
    """
    letter = find_letter(redis, keys, letter_id)
    if letter is None:
        return False
    fields = dict(letter.fields)
    if protocol.PAYLOAD not in fields:
        raise ValueError(f"the dead letter {letter_id} has no payload, so there is nothing to run: {letter.reason}")
    if SIGNATURE in fields:
        fields[SIGNATURE] = resigned(fields, signer, int(time.time() * 1000))
    if (correlation_id := read_sender(fields[protocol.PAYLOAD]).correlation_id) is not None:
        redis.run("DEL", keys.call(correlation_id))
    entry_id = redis.run("XADD", keys.stream, "*", *(part for field in fields.items() for part in field))
    _record(redis, keys, entry_id.decode(), fields)
    redis.run("XDEL", keys.dead, letter_id)
    return True


def _record(redis: Redis, keys: Keys, entry_id: str, fields: Mapping[bytes, bytes]) -> None:
    """As its enqueueing would: a signed entry that waits for long runs by its record alone."""
    request = read_entry(entry_id, fields, protocol.reply_pattern(keys.reply_prefix))
    if isinstance(request, Request):
        record = protocol.taken_record(request.mark, entry_id)
        seconds = int((request.timeout_seconds or protocol.NO_DEADLINE_SECONDS) + request.keep_seconds)
        redis.run("SET", keys.call(request.correlation_id), record, "NX", "EX", seconds)


def drop(redis: Redis, keys: Keys, letter_id: str) -> bool:
    """False when there is none; raises one of FAILURES."""
    return bool(redis.run("XDEL", keys.dead, letter_id))


def _letter(row: Sequence[Any]) -> DeadLetter:
    fields = dict(pairs(row[1]))
    return DeadLetter(
        id=row[0].decode(),
        entry_id=fields.get(b"entry_id", b"").decode(errors="replace"),
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        deliveries=_number(fields.get(b"deliveries", b"")) or 0,
        died_at_ms=_number(fields.get(b"died_at_ms", b"")) or 0,
        fields={name: value for name, value in fields.items() if name not in FACTS},
    )


def _number(text: bytes) -> int | None:
    """None for what is none that a server writes."""
    return int(text) if text.isdigit() and len(text) <= MOST_DIGITS else None
