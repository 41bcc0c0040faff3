"""Calls over Redis against floors in the same run: rates, latencies, CPU per call; rounds interleaved, medians.

`python -m benchmarks.redis_rpc [ROUNDS]`. Every system has a server process of its own and a client process for each
load; all share one redis-server, which starts for the run. Idle ones only wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.centrifugo_calls import cpu_seconds
from benchmarks.redis_caller import MANY

ROUNDS = 5
START_SECONDS = 30.0
SERVERS = {
    "fused": "batching",
    "fused, loop": "looping",
    "demux": "batching",
    "demux, loop": "looping",
    "ipc": "ipc",
    "ours": "ours",
}
DJANGO_IPC = Path(__file__).parents[1] / ".cache" / "django-ipc" / "bin" / "python"
"""Of the virtual environment that `scripts/setup --test` makes: its own bridge is measured where it is there."""


class Load(NamedTuple):
    """`floor`: the system of the same load that counts as its floor; `calls` of one round."""

    name: str
    floor: str
    calls: int
    others: tuple[str, ...] = ()


LOADS = (
    Load("1 thread", "fused", 1000, ("fused, loop", "ipc")),
    Load("8 threads", "fused", 3200, ("fused, loop", "ipc")),
    Load("64 threads", "demux", 6400, ("demux, loop", "ipc")),
    Load(f"call_many({MANY})", "demux", 8000),
    Load("asyncio", "demux", 6400),
    Load("gevent", "demux", 6400),
)


class Figures(NamedTuple):
    """Of one system under one load: calls/s, milliseconds, and microseconds of CPU per call."""

    rate: float
    p50: float
    p99: float
    client_cpu: float
    server_cpu: float
    redis_cpu: float


class Caller:
    """A client process that makes calls when it is told to."""

    def __init__(self, system: str, load: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.redis_caller", system, load, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def run(self, calls: int, server: int, broker: int) -> Figures:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        before = cpu_seconds(server), cpu_seconds(broker)
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        measured = json.loads(self._line())
        spent = [
            (after - since) / calls * 1e6
            for after, since in zip((cpu_seconds(server), cpu_seconds(broker)), before, strict=True)
        ]
        return Figures(**measured, server_cpu=spent[0], redis_cpu=spent[1])

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a client process of the benchmark has failed; its traceback stands above")
        return line


def main(rounds: int = ROUNDS) -> None:
    loads = [load for load in LOADS if load.name != "gevent" or find_spec("gevent")]
    with contextlib.ExitStack() as stack:
        url, broker = stack.enter_context(redis_server())
        pids = {kind: stack.enter_context(server(kind, url)) for kind in ("batching", "looping", "ipc", "ours")}
        callers = {
            (load.name, system): start_caller(stack, system, load.name, url)
            for load in loads
            for system in (load.floor, *load.others, "ours")
        }
        measured: dict[tuple[str, str], list[Figures]] = {key: [] for key in callers}
        for number in range(rounds + 1):
            for load in loads:
                for system in (load.floor, *load.others, "ours"):
                    key = load.name, system
                    figures = callers[key].run(load.calls, pids[SERVERS[system]], broker)
                    if number:  # the first round warms up
                        measured[key].append(figures)
    medians = {key: Figures(*map(statistics.median, zip(*rows, strict=True))) for key, rows in measured.items()}
    print_table(loads, medians, rounds)


def print_table(loads: list[Load], medians: dict[tuple[str, str], Figures], rounds: int) -> None:
    print(f"medians of {rounds} rounds; CPU in microseconds a call: client + server + Redis\n")
    print("| load | system | calls/s | p50 ms | p99 ms | rate / floor | p50 / floor | CPU |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for load in loads:
        floor = medians[load.name, load.floor]
        for system in (load.floor, *load.others, "ours"):
            row = medians[load.name, system]
            shown = f"floor ({system})" if system == load.floor else system
            print(
                f"| {load.name} | {shown} | {row.rate:,.0f} | {row.p50:.2f} | {row.p99:.2f} "
                f"| {row.rate / floor.rate:.2f} | {row.p50 / floor.p50:.2f} "
                f"| {row.client_cpu:.0f} + {row.server_cpu:.0f} + {row.redis_cpu:.0f} |"
            )
    one, loop = medians["1 thread", "ours"], medians["1 thread", "fused, loop"]
    print(f"\n1 thread, p50 / floor with an event loop: {one.p50 / loop.p50:.2f}", end="; ")
    threads, ours = medians["64 threads", "ours"], medians[f"call_many({MANY})", "ours"]
    print(f"64 threads / ipc: {threads.rate / medians['64 threads', 'ipc'].rate:.1f}", end="; ")
    print(f"call_many / floor of 64 threads: {ours.rate / medians['64 threads', 'demux'].rate:.2f}")


def start_caller(stack: contextlib.ExitStack, system: str, load: str, url: str) -> Caller:
    caller = Caller(system, load, url)
    stack.callback(caller.end)
    return caller


@contextlib.contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """The URL and the process id of one that writes nothing to the disk."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/2", process.pid
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def server(kind: str, url: str) -> Iterator[int]:
    """The process id of a server that is ready."""
    command, until = [sys.executable, "-m", "benchmarks.redis_floor_server", kind, url], "ready"
    if kind == "ours":
        command, until = [sys.executable, "-m", "django", "rpc_server"], "Serving"
    elif kind == "ipc" and DJANGO_IPC.exists():
        command = [str(DJANGO_IPC), str(Path(__file__).with_name("ipc_bridge.py")), url]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.redis_site.settings", "BENCHMARK_REDIS_URL": url}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        for line in process.stdout:
            if until in line:
                break
        else:
            raise SystemExit(f"the server {kind} of the benchmark has not started")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        time.sleep(0.02)
    raise SystemExit("the redis-server of the benchmark does not answer")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
