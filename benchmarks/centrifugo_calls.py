"""Calls per second and server CPU per call: the embedded server with its handlers against the floor; a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket as sockets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import connect

from tests.e2e.servers import Servers, free_port, running

ROUNDS = 5
CALLS = 4000
USER = "bench"


async def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        running("embedded", Path(directory)) as site,
        floor() as (url, pid),
    ):
        servers = {"floor": (url, pid), "embedded": (site.url, site.processes["server"].pid)}
        for in_flight in (1, 50):
            await compare(site, servers, in_flight)


async def compare(site: Servers, servers: dict[str, tuple[str, int]], in_flight: int) -> None:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
    for number in range(ROUNDS + 1):
        for name, (url, pid) in servers.items():
            measured = await one_round(url, pid, site.token(USER), in_flight, CALLS if in_flight > 1 else CALLS // 4)
            if number:  # the first round warms up
                figures[name].append(measured)
    print(f"{in_flight} in flight, median (minimum to maximum) of {ROUNDS} rounds")
    rates = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in figures.items()}
    costs = {name: statistics.median(cost for _, cost in rounds) for name, rounds in figures.items()}
    for name, rounds in figures.items():
        low, high = min(rate for rate, _ in rounds), max(rate for rate, _ in rounds)
        share, times = rates[name] / rates["floor"], costs[name] / costs["floor"]
        print(
            f"  {name:10} {rates[name]:8.0f} calls/s ({low:.0f} to {high:.0f}), {share:.2f} of the floor;"
            f" server CPU {costs[name]:6.0f} us a call, {times:.2f} x"
        )


async def one_round(url: str, pid: int, token: str, in_flight: int, calls: int) -> tuple[float, float]:
    """Calls per second, and microseconds of server CPU per call."""
    async with connect(url, compression=None) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        await socket.recv()
        await socket.send(json.dumps({"id": 2, "subscribe": {"channel": f"user#{USER}"}}))
        await socket.recv()
        cpu, began = cpu_seconds(pid), time.perf_counter()
        sent = answered = 0
        while answered < calls:
            while sent - answered < in_flight and sent < calls:
                sent += 1
                await socket.send(request(sent, f"{began}-{sent}"))
            frame = await socket.recv()
            answered += str(frame).count('"correlation_id"')
        elapsed = time.perf_counter() - began
        await asyncio.sleep(0)
        return calls / elapsed, (cpu_seconds(pid) - cpu) / calls * 1e6


def request(number: int, correlation_id: str) -> str:
    data = {
        "method": "echo.say",
        "params": {"text": "hello", "number": number},
        "correlation_id": correlation_id,
        "reply_to": f"user#{USER}",
        "timeout_ms": 30_000,
    }
    return json.dumps({"id": number + 10, "publish": {"channel": "rpc.requests", "data": data}})


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def floor() -> Iterator[tuple[str, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.floor_server", str(port)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                sockets.create_connection(("127.0.0.1", port), 0.2).close()
                break
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}/connection/websocket", process.pid
    finally:
        process.terminate()
        process.wait()
