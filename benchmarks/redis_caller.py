"""`python -m benchmarks.redis_caller SYSTEM LOAD URL`: calls as often as a line of its input says; figures as JSON.

A process of its own for each system and load, so that none has another's threads, and gevent has all of its own.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.argv[2] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks import redis_floor_clients as floors
from benchmarks.redis_floor_wire import NOTE

MANY = 50
LOADS = {"1 thread": 1, "8 threads": 8, "64 threads": 64, "gevent": 64, "asyncio": 64, f"call_many({MANY})": MANY}
FLOORS = {
    "fused": floors.Fused,
    "fused, loop": floors.FusedLoop,
    "demux": floors.Demux,
    "demux, loop": floors.DemuxLoop,
    "ipc": floors.Ipc,
}


class Ours:
    """The project's client, as its documentation shows it."""

    def __init__(self, url: str) -> None:
        import django
        from django.conf import settings

        settings.configure(WEBSOCKET_RPC={"enabled": True, "redis_url": url, "request_stream": "bench:ours"})
        django.setup()
        from benchmarks.redis_site.handlers import Note
        from django_cfg.modules.django_rpc import RPCCall, get_rpc_client

        self._rpc, self._note, self._model, self._as_call = get_rpc_client(), Note(**NOTE), Note, RPCCall

    def call(self) -> Any:
        return self._rpc.call("notes.echo", self._note, self._model)

    async def acall(self) -> Any:
        return await self._rpc.acall("notes.echo", self._note, self._model)

    def call_many(self, count: int) -> list[Any]:
        results = self._rpc.call_many([self._as_call("notes.echo", self._note, self._model)] * count)
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            raise failed[0]
        return results


def by_threads(call: Callable[[], Any], threads: int, calls: int) -> list[float]:
    """How long each call took, in seconds."""
    took: list[float] = []

    def work() -> None:
        for _ in range(calls // threads):
            began = time.perf_counter()
            call()
            took.append(time.perf_counter() - began)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return took


async def by_tasks(client: Any, tasks: int, calls: int) -> list[float]:
    took: list[float] = []

    async def work() -> None:
        for _ in range(calls // tasks):
            began = time.perf_counter()
            await client.acall()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(tasks)))
    return took


def by_batches(client: Any, calls: int) -> list[float]:
    """How long each batch took."""
    took: list[float] = []
    for _ in range(calls // MANY):
        began = time.perf_counter()
        client.call_many(MANY)
        took.append(time.perf_counter() - began)
    return took


def figures(took: list[float], calls: int, elapsed: float, cpu: float) -> str:
    took.sort()
    p50, p99 = (took[int(len(took) * share)] * 1000 for share in (0.50, 0.99))
    return json.dumps({"rate": calls / elapsed, "p50": p50, "p99": p99, "client_cpu": cpu / calls * 1e6})


def main(system: str, load: str, url: str) -> None:
    if load == "asyncio":
        asyncio.run(main_async(system, url))
        return
    client: Any = Ours(url) if system == "ours" else FLOORS[system](url)
    print("ready", flush=True)
    for line in sys.stdin:
        calls, began, cpu = int(line), time.perf_counter(), time.process_time()
        if load.startswith("call_many"):
            took = by_batches(client, calls)
        else:
            took = by_threads(client.call, LOADS[load], calls)
        print(figures(took, calls, time.perf_counter() - began, time.process_time() - cpu), flush=True)


async def main_async(system: str, url: str) -> None:
    client: Any = Ours(url) if system == "ours" else floors.AsyncDemux(url)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        calls, began, cpu = int(line), time.perf_counter(), time.process_time()
        took = await by_tasks(client, LOADS["asyncio"], calls)
        print(figures(took, calls, time.perf_counter() - began, time.process_time() - cpu), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
