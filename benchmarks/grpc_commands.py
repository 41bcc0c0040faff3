"""Streaming commands against floors in the same run, over the example's protocol; rounds interleaved, medians.

`python -m benchmarks.grpc_commands [ROUNDS]`. Each round starts its servers anew, each with a process of agents of its
own; floor and ours alternate within it. A ratio is the median of the ratios of neighbours, which share a load.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROUNDS = 5
TURNS = 10
"""How often floor and ours alternate in a round, for each figure: short turns have the same neighbours on a machine."""
AGENTS = 1000
FIRST_AGENTS = 50
"""Connected before memory is measured: the first ones also pay for what all share."""
SYSTEMS = ("floor", "ours")


class Figure(NamedTuple):
    """`most`: the ratio to the floor that is not to be exceeded."""

    name: str
    unit: str
    most: float


ACKED_ONE = Figure("acknowledged command, same process, 1 agent", "ms p50", 1.25)
ACKED_MANY = Figure(f"acknowledged command, same process, {AGENTS} agents", "ms p50", 1.25)
ACKED_BUSY = Figure(f"the same, 64 in flight, {AGENTS} agents", "us CPU", 1.25)
CROSS_ASYNC = Figure("acknowledged command, other process, async", "ms p50", 1.10)
CROSS_SYNC = Figure("acknowledged command, other process, sync", "ms p50", 1.10)
SENT_ASYNC = Figure("sent command, other process, async", "ms p50", 1.10)
SENT_SYNC = Figure("sent command, other process, sync", "ms p50", 1.10)
CLIENT_ASYNC = Figure("the same, async; floor: a bare stub and the same server", "ms p50", 1.10)
CLIENT_SYNC = Figure("the same, sync; floor: a bare stub and the same server", "ms p50", 1.10)
VIEW = Figure("send from a sync view; floor: a channel per command", "ms p50", 0.75)
PUSH = Figure(f"push to {AGENTS} streams", "us CPU", 1.15)
MEMORY = Figure("memory of one idle stream", "KiB RSS", 55.0)
MOST_KIB = MEMORY.most
FIGURES = (
    ACKED_ONE,
    ACKED_MANY,
    ACKED_BUSY,
    CROSS_ASYNC,
    CROSS_SYNC,
    SENT_ASYNC,
    SENT_SYNC,
    CLIENT_ASYNC,
    CLIENT_SYNC,
    VIEW,
    PUSH,
    MEMORY,
)
CALLERS = {
    CROSS_ASYNC: "async",
    CROSS_SYNC: "sync",
    SENT_ASYNC: "async-sending",
    SENT_SYNC: "sending",
    CLIENT_ASYNC: "async",
    CLIENT_SYNC: "sync",
    VIEW: "view",
}
SAME_SERVER = (CLIENT_ASYNC, CLIENT_SYNC, VIEW)
"""Their floors are ways to call."""


class Worker:
    """A process of the benchmark: a line to it is work, a line from it says that it is done, and how it went."""

    def __init__(self, stack: contextlib.ExitStack, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.grpc_settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._name = " ".join(command)
        self.pid = self._process.pid
        stack.callback(self._end)
        self.said = self._line()

    def ask(self, work: str) -> str:
        self.begin(work)
        return self._line()

    def begin(self, work: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} has failed; its traceback stands above")
        return line.strip()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


class Fleet:
    """One server, and the process of its agents."""

    def __init__(self, stack: contextlib.ExitStack, system: str) -> None:
        self.server = Worker(stack, "benchmarks.grpc_server", system)
        self.port = self.server.said
        self.agents = Worker(stack, "benchmarks.grpc_agents", self.port)
        self._connected = 0

    def connect_up_to(self, count: int) -> None:
        self.agents.ask(f"connect {count - self._connected}")
        self.server.ask(f"connected {count}")
        self._connected = count

    def memory_kib(self) -> float:
        """Of one more idle stream."""
        self.connect_up_to(FIRST_AGENTS)
        before = resident_kib(self.server.pid)
        self.connect_up_to(AGENTS)
        return (resident_kib(self.server.pid) - before) / (AGENTS - FIRST_AGENTS)

    def acked(self, commands: int, in_flight: int = 1) -> dict[str, float]:
        measured: dict[str, float] = json.loads(self.server.ask(f"acked {commands} {in_flight}"))
        return measured

    def push_cpu_us(self, messages: int) -> float:
        """Of the server for one message."""
        self.agents.ask("received 0")  # those of the callers do not count
        before = cpu_seconds(self.server.pid)
        self.server.ask(f"push {messages}")
        self.agents.ask(f"received {messages * AGENTS}")
        return (cpu_seconds(self.server.pid) - before) / (messages * AGENTS) * 1e6


class Measured:
    """Pairs of floor and ours, by figure."""

    def __init__(self) -> None:
        self._pairs: dict[Figure, list[tuple[float, float]]] = {figure: [] for figure in FIGURES}

    def add(self, figure: Figure, values: dict[str, float]) -> None:
        self._pairs[figure].append((values["floor"], values["ours"]))

    def row(self, figure: Figure) -> str:
        pairs = self._pairs[figure]
        floor, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratios = [mine / least for least, mine in pairs]
        ratio, most = statistics.median(ratios), f"{figure.most:.2f}"
        held = ratio <= figure.most
        if figure is MEMORY:
            held, most = ours <= MOST_KIB, f"{MOST_KIB:.0f} KiB"
        return (
            f"| {figure.name} | {figure.unit} | {floor:.3g} | {ours:.3g} "
            f"| {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {most} | {'yes' if held else 'no'} |"
        )


def main(rounds: int = ROUNDS) -> None:
    measured = Measured()
    with contextlib.ExitStack() as stack:
        callers = {
            (figure, system): Worker(stack, "benchmarks.grpc_caller", f"{kind} {system}")
            for figure, kind in CALLERS.items()
            for system in SYSTEMS
        }
        for _ in range(rounds):
            one_round(callers, measured)
    print(f"medians of {rounds} rounds\n")
    print("| what | unit | floor | ours | ours / floor (from to) | at most | held |\n|---|---|---:|---:|---|---:|---|")
    for figure in FIGURES:
        print(measured.row(figure))


def one_round(callers: dict[tuple[Figure, str], Worker], measured: Measured) -> None:
    with contextlib.ExitStack() as stack:
        fleets = {system: Fleet(stack, system) for system in SYSTEMS}
        for fleet in fleets.values():
            fleet.connect_up_to(1)
        for _ in range(TURNS):
            measured.add(ACKED_ONE, {name: fleet.acked(100)["p50"] for name, fleet in turn(fleets)})
        measured.add(MEMORY, {name: fleet.memory_kib() for name, fleet in turn(fleets)})
        for _ in range(TURNS):
            measured.add(ACKED_MANY, {name: fleet.acked(100)["p50"] for name, fleet in turn(fleets)})
            measured.add(ACKED_BUSY, {name: fleet.acked(640, 64)["cpu"] for name, fleet in turn(fleets)})
            measured.add(PUSH, {name: fleet.push_cpu_us(4) for name, fleet in turn(fleets)})
        for _ in range(TURNS):
            for figure in CALLERS:
                measured.add(figure, called(callers, figure, fleets))


_turns = 0


def turn(fleets: dict[str, Fleet]) -> list[tuple[str, Fleet]]:
    """Each begins as often as the other."""
    global _turns
    _turns += 1
    return list(fleets.items())[:: 1 if _turns % 2 else -1]


def called(callers: dict[tuple[Figure, str], Worker], figure: Figure, fleets: dict[str, Fleet]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, fleet in turn(fleets):
        port = fleets["ours"].port if figure in SAME_SERVER else fleet.port
        values[name] = json.loads(callers[figure, name].ask(f"{port} 60"))["p50"]
    return values


def cpu_seconds(pid: int) -> float:
    """To the nanosecond, unlike the clock ticks of the process itself; all threads here live as long as it."""
    times = [int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(times) / 1e9


def resident_kib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
