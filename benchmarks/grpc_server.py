"""`python -m benchmarks.grpc_server floor|ours`: serves the example's protocol; each line of its input is work.

`acked N IN_FLIGHT` executes commands from inside the process and prints milliseconds; `push N` queues N messages for
each agent; `connected N` answers once so many agents are there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc

from benchmarks.grpc_floor import Floor
from django_cfg.apps.integrations.grpc.collecting import collect_less_often
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import CommandServer
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig

HOST = "127.0.0.1"
WARM_UP = 10
NOTE = pb2.Stop(reason="x" * 24)
PING_SECONDS = 60.0
"""The floor sends none; those of the default interval would be counted as the cost of other messages."""

_ids = itertools.count()


class System(Protocol):
    """What both servers can do."""

    def agents(self) -> list[str]: ...

    async def execute(self, agent_id: str, command: pb2.Command) -> Any: ...

    async def push(self, agent_id: str, command: pb2.Command) -> Any: ...

    async def serve(self) -> int: ...


class FloorSystem:
    def __init__(self) -> None:
        self._floor = Floor()
        self.execute = self._floor.execute
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])

    def agents(self) -> list[str]:
        return list(self._floor.queues)

    async def push(self, agent_id: str, command: pb2.Command) -> None:
        self._floor.queues[agent_id].put_nowait(command)

    async def serve(self) -> int:
        pb2_grpc.add_FleetServicer_to_server(self._floor, self._server)
        port = self._server.add_insecure_port(f"{HOST}:0")
        await self._server.start()
        return port


class OurSystem:
    """As `rungrpc` serves the example: callers are checked, commands stamped, streams watched, figures kept."""

    def __init__(self) -> None:
        collect_less_often()
        self._servicer = FleetServicer(BidirectionalStreamingConfig(ping_interval=PING_SECONDS))
        self._service = self._servicer._streaming_service  # pyright: ignore[reportPrivateUsage]
        self._server = CommandServer(GRPCConfig())
        self.push = self._service.send_to_client

    def agents(self) -> list[str]:
        return list(self._service.get_active_connections())

    async def execute(self, agent_id: str, command: pb2.Command) -> None:
        (await self._service.execute_command(agent_id, command)).raise_for_outcome()

    async def serve(self) -> int:
        pb2_grpc.add_FleetServicer_to_server(self._servicer, self._server.grpc)
        return await self._server.start(HOST, 0)


async def acked(system: System, commands: int, in_flight: int) -> str:
    """Round about all agents; each of `in_flight` tasks waits for one outcome after the other."""
    agents = itertools.cycle(system.agents())
    took: list[float] = []

    async def work(count: int) -> None:
        for _ in range(count):
            command = pb2.Command(command_id=f"c-{next(_ids)}", start=pb2.Start())
            agent, began = next(agents), time.perf_counter()
            await system.execute(agent, command)
            took.append(time.perf_counter() - began)

    await work(WARM_UP)
    took.clear()
    cpu = time.process_time()
    await asyncio.gather(*(work(commands // in_flight) for _ in range(in_flight)))
    return json.dumps({**percentiles(took), "cpu": (time.process_time() - cpu) / commands * 1e6})


def percentiles(took: list[float]) -> dict[str, float]:
    """In milliseconds."""
    took.sort()
    return {"p50": took[len(took) // 2] * 1000, "p99": took[int(len(took) * 0.99)] * 1000}


async def push(system: System, messages: int) -> str:
    agents = system.agents()
    for _ in range(messages):
        command = pb2.Command(command_id=f"p-{next(_ids)}", stop=NOTE)
        for agent in agents:
            await system.push(agent, command)
        await asyncio.sleep(0)
    return "queued"


async def connected(system: System, count: int) -> str:
    while len(system.agents()) < count:  # noqa: ASYNC110 - the floor announces nothing
        await asyncio.sleep(0.01)
    return "connected"


WORK: dict[str, Callable[..., Awaitable[str]]] = {"acked": acked, "push": push, "connected": connected}


async def main(kind: str) -> None:
    system: System = FloorSystem() if kind == "floor" else OurSystem()
    print(await system.serve(), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *numbers = line.split()
        print(await WORK[name](system, *map(int, numbers)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
