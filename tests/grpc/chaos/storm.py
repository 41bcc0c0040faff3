"""A whole fleet that loses its server and comes back at once, without the jitter that a good agent has."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.agents_view import list_agents
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from tests.grpc.fleet import Fleet

__all__ = ["Storm", "come", "connections", "storm"]

BOUND_SECONDS = 120.0


@dataclass(slots=True)
class Storm:
    """`refused`: streams of the second coming that were ended, by their status."""

    agents: int
    seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter[str])
    newer: int = 0
    """Agents whose second stream has a higher epoch than all first ones."""
    listed: int = 0

    @property
    def kept(self) -> bool:
        return not self.refused and self.newer == self.listed == self.agents

    def __str__(self) -> str:
        return (
            f"{self.agents} agents were back {self.seconds:.1f} s after they began to come all at once; refused"
            f" {self.refused.total()} {dict(self.refused)}, {self.newer} in a newer epoch, {self.listed} listed"
        )


def storm(directory: Path, *, agents: int) -> Storm:
    return asyncio.run(_storm(Fleet(directory, max_agents=agents + 1), agents))


async def _storm(fleet: Fleet, agents: int) -> Storm:
    found = Storm(agents)
    channels = connections(fleet.project.address, agents)
    try:
        with fleet.serving() as server:
            first = await asyncio.gather(*(come(channel, number) for number, channel in enumerate(channels)))
            await asyncio.to_thread(server.end, signal.SIGKILL)
            await asyncio.gather(*(gone(call) for call, _ in first))
        latest = max(epoch for _, epoch in first)
        with fleet.serving():
            await _come_back(found, channels, latest)
            found.listed = len(await asyncio.to_thread(list_agents, GRPCConfig(), fleet.project.address, 60.0))
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
    return found


async def _come_back(found: Storm, channels: list[grpc.aio.Channel], latest_epoch: int) -> None:
    started = time.monotonic()
    arrivals = (come(channel, number) for number, channel in enumerate(channels))
    for arrived in await asyncio.gather(*arrivals, return_exceptions=True):
        if isinstance(arrived, grpc.aio.AioRpcError):
            found.refused[f"{arrived.code().name}: {arrived.details()}"] += 1
        elif isinstance(arrived, BaseException):
            raise arrived
        else:
            found.newer += arrived[1] > latest_epoch
    found.seconds = time.monotonic() - started


def connections(address: str, count: int) -> list[grpc.aio.Channel]:
    """Each over a TCP connection of its own, which is not yet made."""
    options: list[tuple[str, Any]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    return [grpc.aio.insecure_channel(address, options) for _ in range(count)]


async def come(channel: grpc.aio.Channel, number: int) -> tuple[Any, int]:
    """An agent's stream, and its epoch as the first message says. Raises AioRpcError if the stream is ended."""
    stub: Any = pb2_grpc.FleetStub(channel)
    call = stub.Connect(wait_for_ready=True, timeout=BOUND_SECONDS)
    await call.write(pb2.AgentMessage(agent_id=f"bot-{number}", hello=pb2.Hello()))
    greeting = await call.read()
    if greeting is grpc.aio.EOF:
        raise grpc.aio.AioRpcError(
            await call.code(), grpc.aio.Metadata(), grpc.aio.Metadata(), details=await call.details()
        )
    return call, greeting.epoch


async def gone(call: Any) -> None:
    """Until the stream has ended, for whatever reason."""
    await call.code()
