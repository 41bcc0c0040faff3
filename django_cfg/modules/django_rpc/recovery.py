"""Pure: which consumers have died, what becomes of their entries, and what a repeated request gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.intake import Request

__all__ = ["Consumer", "Fate", "Repeat", "dead_consumers", "fate_of", "judge_record", "read_consumers"]

UNHEARD_MS = 5_000
"""When a consumer of ours counts as dead that Redis knows nothing of: each says every second that it lives."""

SILENT_MS = 15_000
"""When a consumer that never says that it lives counts as dead: django-ipc's servers ask every second."""

UNSEEN_MS = protocol.LONGEST_WIRE_TIMEOUT * 1000
"""The same where Redis does not tell that it asks: nobody waits for its reply any more."""

MOST_DELIVERIES = 5
"""An entry that has cost so many servers their lives is not given to another."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """One of a group, as Redis describes it. `ours`: its kind says that it lives.

    `asking_is_seen`: `idle_ms` began when it last asked for entries; before Redis 7.2, when it last got one.
    """

    name: str
    pending: int
    idle_ms: int
    ours: bool
    asking_is_seen: bool


class Fate(Enum):
    """What becomes of an entry whose server has died."""

    RUN = "run"
    UNKNOWN = "unknown"
    """It may have run: its caller is told so."""
    POISON = "poison"
    """Servers die of it: it goes to the dead letters."""


class Repeat(Enum):
    """What a request gets whose correlation id has a record already."""

    WAIT = "wait"
    ANSWER = "answer"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


def read_consumers(rows: Iterable[Mapping[bytes, object]], prefix: str) -> list[Consumer]:
    """XINFO CONSUMERS, each row as a mapping; names that begin with `prefix` are ours."""
    found: list[Consumer] = []
    for row in rows:
        name = _name(row[b"name"])
        pending, idle_ms = _number(row[b"pending"]), _number(row[b"idle"])
        found.append(Consumer(name, pending, idle_ms, name.startswith(prefix), b"inactive" in row))
    return found


def dead_consumers(
    consumers: Iterable[Consumer], alive_until_ms: Mapping[str, float], now_ms: float, me: str
) -> list[Consumer]:
    """Those whose entries are to be taken over, and those of ours that are to be forgotten."""
    return [
        consumer
        for consumer in consumers
        if consumer.name != me and _is_dead(consumer, alive_until_ms.get(consumer.name), now_ms)
    ]


def fate_of(request: Request, *, idempotent: bool) -> Fate:
    """`request.deliveries` counts the deliveries to servers that have died."""
    if request.reply_to is not None and not (request.key or idempotent):
        return Fate.UNKNOWN
    return Fate.POISON if request.deliveries > MOST_DELIVERIES else Fate.RUN


def judge_record(record: bytes, *marks: bytes) -> Repeat:
    """`record` is what stands under the correlation id of a request that is not the first with it."""
    state, held = record[:1], record[1 : 1 + protocol.MARK_BYTES]
    if held not in marks:
        return Repeat.CONFLICT
    if state == protocol.FINISHED:
        return Repeat.ANSWER
    return Repeat.UNKNOWN if state == protocol.FINISHED_UNKEPT else Repeat.WAIT


def _is_dead(consumer: Consumer, alive_until_ms: float | None, now_ms: float) -> bool:
    if alive_until_ms is not None:
        return abs(alive_until_ms) < now_ms
    # After a FLUSHALL a living server of ours may read before it has said again that it lives.
    silent_ms = SILENT_MS if consumer.asking_is_seen else UNSEEN_MS
    return consumer.pending > 0 and consumer.idle_ms >= (UNHEARD_MS if consumer.ours else silent_ms)


def _name(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
