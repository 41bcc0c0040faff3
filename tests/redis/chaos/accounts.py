"""A Redis for one run, and what is left in it when everything has ended."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_cfg.tests.websocket.redis_server import RedisServer
from tests.redis.wire import GROUP, STREAM

__all__ = ["accounts", "started_redis"]


@contextmanager
def started_redis(directory: Path, *options: str) -> Generator[RedisServer]:
    redis = RedisServer(directory, *options)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()


def accounts(redis: Any, *, quiet_seconds: float = 30.0) -> list[str]:
    """Complaints about what is left, after so long a wait for it to go: entries, pending ones, replies, anything."""
    deadline = time.monotonic() + quiet_seconds
    while (complaints := _complaints(redis)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return complaints


def _complaints(redis: Any) -> list[str]:
    complaints: list[str] = []
    if waiting := redis.xlen(STREAM):
        complaints.append(f"{waiting} entries are left in {STREAM}")
    if pending := redis.xpending(STREAM, GROUP)["pending"]:
        complaints.append(f"{pending} entries are pending")
    for key in redis.scan_iter("*", count=1000):
        complaints += _complaint(redis, key.decode())
    return complaints


def _complaint(redis: Any, key: str) -> list[str]:
    if key in (STREAM, f"rpc:servers:{STREAM}"):
        return []
    if key == f"{STREAM}:dead":
        return [f"dead letter {letter}" for letter in redis.xrange(key)]
    if key.startswith(("rpc:call:", "rpc:listener:")):
        return [] if redis.ttl(key) != -1 else [f"{key} never expires"]  # -2: it has expired meanwhile
    return [f"{key} is left"]
