"""`python -m benchmarks.grpc_agents PORT`: agents, one connection each, that complete what they are told to start.

Each line of the input is work: `connect N` adds agents, `received N` answers once so many other messages have come.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc

AT_ONCE = 50


class Agents:
    """All of this process; `received` counts what asks for no answer."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._ids = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._received = 0

    async def connect(self, count: int) -> str:
        for begin in range(0, count, AT_ONCE):
            await asyncio.gather(*(self._join() for _ in range(min(AT_ONCE, count - begin))))
        return "said hello"

    async def received(self, count: int) -> str:
        while self._received < count:  # noqa: ASYNC110 - cheaper for the agents than an event each
            await asyncio.sleep(0.005)
        self._received = 0
        return "received"

    async def _join(self) -> None:
        agent_id = f"a{next(self._ids)}"
        channel = grpc.aio.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)])
        stub: Any = pb2_grpc.FleetStub(channel)
        call = stub.Connect()
        await call.write(pb2.AgentMessage(agent_id=agent_id, hello=pb2.Hello(version="1")))
        self._tasks.add(asyncio.create_task(self._listen(agent_id, call)))

    async def _listen(self, agent_id: str, call: Any) -> None:
        while (command := await call.read()) is not grpc.aio.EOF:
            body = command.WhichOneof("body")
            if body == "start":
                report = pb2.Report(command_id=command.command_id, stage=pb2.Report.COMPLETED)
                await call.write(pb2.AgentMessage(agent_id=agent_id, report=report))
            elif body == "ping":
                await call.write(pb2.AgentMessage(agent_id=agent_id, pong=pb2.Pong()))
            else:
                self._received += 1


async def main(port: int) -> None:
    agents = Agents(port)
    work = {"connect": agents.connect, "received": agents.received}
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, number = line.split()
        print(await work[name](int(number)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
