"""Servers replaced one after the other under load: nobody notices."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.tests.websocket.redis_server import RedisServer
from tests.redis.chaos.accounts import accounts, started_redis
from tests.redis.processes import process

__all__ = ["Rolled", "roll"]

BATCH = 10


@dataclass(slots=True)
class Rolled:
    """What became of the calls; `failed` and `left` hold sentences."""

    restarts: int = 0
    calls: int = 0
    seconds: float = 0.0
    failed: Counter[str] = field(default_factory=Counter[str])
    left: list[str] = field(default_factory=list[str])

    @property
    def kept(self) -> bool:
        return not self.failed and not self.left

    def __str__(self) -> str:
        calls = f"{self.calls} calls, {self.failed.total()} failed"
        text = f"{self.restarts} rolling restarts, {calls}, {self.seconds:.0f} s"
        return "\n  ".join([text, *self.failed, *self.left])


def roll(directory: Path, *, restarts: int) -> Rolled:
    """Callers on both paths, one by one and many at once, while the server is replaced so many times."""
    rolled, started = Rolled(restarts), time.monotonic()
    with started_redis(directory) as redis:
        config = WebSocketRPCConfig(enabled=True, redis_url=redis.url)
        clients = [WebSocketRPCClient(config, RedisTransport(config, most_fused=most)) for most in (1000, 0)]
        _roll(rolled, directory, redis, clients)
        for client in clients:
            client.close()
    rolled.seconds = time.monotonic() - started
    return rolled


def _roll(rolled: Rolled, directory: Path, redis: RedisServer, clients: list[WebSocketRPCClient]) -> None:
    ended = threading.Event()
    with ThreadPoolExecutor(6) as pool, ExitStack() as stack:
        stack.callback(ended.set)
        current = stack.enter_context(process(directory, redis.url, "rpc_server")).until_serving()
        load = [pool.submit(_one_by_one, client, ended) for client in clients for _ in range(2)]
        load += [pool.submit(_many, client, ended) for client in clients]
        for _ in range(rolled.restarts):
            following = stack.enter_context(process(directory, redis.url, "rpc_server")).until_serving()
            if status := current.end():
                rolled.failed[f"a server ended with status {status}: {current.log[-500:]}"] += 1
            current = following
        ended.set()
        _count(rolled, load)
        with redis.client() as client:
            rolled.left = accounts(client)


def _count(rolled: Rolled, load: list[Future[Counter[str]]]) -> None:
    for future in load:
        for outcome, count in future.result().items():
            rolled.calls += count
            if outcome != "ok":
                rolled.failed[outcome] += count


def _one_by_one(client: WebSocketRPCClient, ended: threading.Event) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    while not ended.is_set():
        try:
            outcomes[_judged(client.call("work", {"name": "n", "seconds": 0.005}))] += 1
        except RPCError as error:
            outcomes[str(error)] += 1
    return outcomes


def _many(client: WebSocketRPCClient, ended: threading.Event) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    while not ended.is_set():
        calls = [("work", {"name": "n", "seconds": 0.02})] * BATCH
        outcomes.update(_judged(result) for result in client.call_many(calls))
    return outcomes


def _judged(result: Any) -> str:
    return repr(result) if isinstance(result, Exception) or result["name"] != "n" else "ok"
