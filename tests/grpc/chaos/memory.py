"""Agents that come and go and come again: what the server takes for each, and whether it gives it back."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from django_cfg.apps.integrations.grpc.agents_view import list_agents
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from tests.grpc.chaos.storm import come, connections
from tests.grpc.fleet import Fleet

__all__ = ["Tides", "tides"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MOST_GROWTH = 0.05
"""From the second quarter of the tides to the last, on average: allocators breathe."""
MOST_KIB_PER_STREAM = 55.0
LEAVING_SECONDS = 60.0


@dataclass(slots=True)
class Tides:
    """The server's resident bytes: `empty` before anybody came, `low` after all have left, `high` with all of them."""

    agents: int
    empty: int = 0
    high: list[int] = field(default_factory=list[int])
    low: list[int] = field(default_factory=list[int])
    seconds: float = 0.0

    @property
    def kib_per_stream(self) -> float:
        """Of the first tide, when nothing is left over that could be used again."""
        return (self.high[0] - self.empty) / self.agents / 1024

    @property
    def growth(self) -> float:
        quarter = len(self.high) // 4
        return mean(self.high[-quarter:]) / mean(self.high[quarter : 2 * quarter]) - 1

    @property
    def kept(self) -> bool:
        return self.growth <= MOST_GROWTH and self.kib_per_stream <= MOST_KIB_PER_STREAM

    def __str__(self) -> str:
        lines = [
            f"{self.agents} agents came and left {len(self.low)} times in {self.seconds:.0f} s:"
            f" {self.kib_per_stream:.1f} KiB per idle stream, high water {self.growth:+.1%} since the second quarter",
            f"  MiB resident: empty {self.empty / 2**20:.1f}",
        ]
        for name, sizes in (("high", self.high), ("low", self.low)):
            lines.append(f"  {name} " + " ".join(f"{size / 2**20:.1f}" for size in sizes))
        return "\n".join(lines)


def tides(directory: Path, *, agents: int, times: int) -> Tides:
    found, fleet, started = Tides(agents), Fleet(directory, max_agents=agents + 1), time.monotonic()
    with fleet.serving() as server:
        list_agents(GRPCConfig(), fleet.project.address, LEAVING_SECONDS)  # whatever is loaded late is there
        found.empty = resident(server.pid)
        for _ in range(times):
            asyncio.run(_tide(found, fleet.project.address, server.pid))
        assert server.end() == 0, server.log
    found.seconds = time.monotonic() - started
    return found


async def _tide(found: Tides, address: str, server: int) -> None:
    channels = connections(address, found.agents)
    await asyncio.gather(*(come(channel, number) for number, channel in enumerate(channels)))
    assert await _listed(address) == found.agents
    found.high.append(resident(server))
    await asyncio.gather(*(channel.close() for channel in channels))
    async with asyncio.timeout(LEAVING_SECONDS):
        while await _listed(address):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    found.low.append(resident(server))


async def _listed(address: str) -> int:
    return len(await asyncio.to_thread(list_agents, GRPCConfig(), address, LEAVING_SECONDS))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
