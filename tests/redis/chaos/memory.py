"""Very many calls: neither side grows, and Redis is empty afterwards."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from tests.redis.chaos.accounts import accounts, started_redis
from tests.redis.processes import process

__all__ = ["Grown", "grow"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PARTS = 10
MOST_GROWTH = 0.03
"""Of what the process had after the first part; allocators breathe."""


@dataclass(slots=True)
class Grown:
    """Resident bytes of callers and server after each tenth of the calls."""

    calls: int
    seconds: float = 0.0
    callers: list[int] = field(default_factory=list[int])
    server: list[int] = field(default_factory=list[int])
    left: list[str] = field(default_factory=list[str])

    @property
    def kept(self) -> bool:
        return not self.left and all(growth(sizes) <= MOST_GROWTH for sizes in (self.callers, self.server))

    def __str__(self) -> str:
        lines = [f"{self.calls} calls in {self.seconds:.0f} s; MiB resident after each tenth:"]
        for side, sizes in (("callers", self.callers), ("server", self.server)):
            lines.append(f"  {side} {growth(sizes):+.1%}: " + " ".join(f"{size / 2**20:.1f}" for size in sizes))
        return "\n".join(lines + [f"  left over: {line}" for line in self.left[:10]])


def growth(sizes: list[int]) -> float:
    """From the second tenth, when everything is warm, to the last."""
    return sizes[-1] / sizes[1] - 1


def grow(directory: Path, *, calls: int) -> Grown:
    grown, started = Grown(calls), time.monotonic()
    with started_redis(directory) as redis, process(directory, redis.url, "rpc_server") as server:
        server.until_serving()
        config = WebSocketRPCConfig(enabled=True, redis_url=redis.url)
        clients = [WebSocketRPCClient(config, RedisTransport(config, most_fused=most)) for most in (1000, 0)]
        for _ in range(PARTS):
            _calls(clients, calls // PARTS)
            grown.callers.append(_resident(os.getpid()))
            grown.server.append(_resident(server.pid))
        for client in clients:
            client.close()
        with redis.client() as opened:
            grown.left = accounts(opened, quiet_seconds=90)
        assert server.end() == 0, server.log
    grown.seconds = time.monotonic() - started
    return grown


def _calls(clients: list[WebSocketRPCClient], count: int) -> None:
    """A third one by one on either path, and a third many at once."""
    with ThreadPoolExecutor(8) as pool:
        for client in clients:
            list(pool.map(partial(_echo, client), range(count // 3)))
        list(pool.map(clients[1].call_many, [[("echo", {"n": 1})] * 50] * (count // 150 + 1)))


def _echo(client: WebSocketRPCClient, n: int) -> Any:
    assert client.call("echo", {"n": n}) == {"n": n}


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
