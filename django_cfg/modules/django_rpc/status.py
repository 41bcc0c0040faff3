"""What Redis knows of a stream: who serves it, what waits, what runs, what has died."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_cfg.modules.django_rpc.connecting import Redis, pairs
from django_cfg.modules.django_rpc.eviction import read_policy
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.redis_clock import added_seconds

__all__ = ["Status", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """`waiting` entries no server has read, `running` ones some server has; `oldest_seconds` 0 when there is none.

    `servers`: entries in flight by the name of each live server. `draining`: those that end. `maxmemory_policy` is
    empty when Redis does not say.
    """

    stream: str
    servers: Mapping[str, int]
    draining: Mapping[str, int]
    waiting: int
    running: int
    oldest_seconds: float
    dead_letters: int
    maxmemory_policy: str


def read_status(redis: Redis, keys: Keys) -> Status:
    """Raises one of FAILURES."""
    time, length, first, scores, dead = _answers(
        redis,
        ("TIME",),
        ("XLEN", keys.stream),
        ("XRANGE", keys.stream, "-", "+", "COUNT", 1),
        ("ZRANGE", keys.servers, 0, -1, "WITHSCORES"),
        ("XLEN", keys.dead),
    )
    in_flight = _in_flight(redis, keys)
    now = int(time[0]) + int(time[1]) / 1e6
    until = {name.decode(errors="replace"): float(score) / 1000 for name, score in pairs(scores)}
    running = sum(in_flight.values())
    return Status(
        stream=keys.stream,
        servers={name: in_flight.get(name, 0) for name, moment in until.items() if moment >= now},
        draining={name: in_flight.get(name, 0) for name, moment in until.items() if -moment >= now},
        waiting=max(0, length - running),
        running=running,
        oldest_seconds=max(0.0, now - added_seconds(first[0][0].decode())) if first else 0.0,
        dead_letters=dead,
        maxmemory_policy=_policy(redis),
    )


def _policy(redis: Redis) -> str:
    """A user of Redis with few rights may not ask."""
    (info,) = redis.batch([("INFO", "memory")])
    return read_policy(info)


def _in_flight(redis: Redis, keys: Keys) -> dict[str, int]:
    """By consumer; empty without a group."""
    (rows,) = redis.batch([("XINFO", "CONSUMERS", keys.stream, keys.group)])
    if isinstance(rows, Exception):
        return {}
    found = (dict(pairs(row)) for row in rows)
    return {row[b"name"].decode(errors="replace"): int(row[b"pending"]) for row in found}


def _answers(redis: Redis, *commands: tuple[str | int, ...]) -> list[Any]:
    answers = redis.batch(commands)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
