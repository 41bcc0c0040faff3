"""The floor for streaming commands: a queue for each stream, a future for each command, and nothing else.

No identity, deadline, takeover, bound, ping or end that anybody hears of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc

__all__ = ["Floor"]


class Floor(pb2_grpc.FleetServicer):
    """What a team writes first."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[pb2.Command]] = {}
        self._waiting: dict[str, asyncio.Future[pb2.AgentMessage]] = {}

    async def Connect(  # noqa: N802 - the protocol's name
        self, request_iterator: AsyncIterator[pb2.AgentMessage], context: Any
    ) -> AsyncIterator[pb2.Command]:
        hello = await anext(aiter(request_iterator))
        queue = self.queues[hello.agent_id] = asyncio.Queue[pb2.Command]()
        reader = asyncio.create_task(self._read(request_iterator))
        try:
            while True:
                yield await queue.get()
        finally:
            reader.cancel()

    async def _read(self, messages: AsyncIterator[pb2.AgentMessage]) -> None:
        async for message in messages:
            if message.WhichOneof("payload") == "report":
                self._waiting.pop(message.report.command_id).set_result(message)

    async def execute(self, agent_id: str, command: pb2.Command) -> pb2.AgentMessage:
        future = self._waiting[command.command_id] = asyncio.get_running_loop().create_future()
        self.queues[agent_id].put_nowait(command)
        return await future

    async def SendCommandToClient(  # noqa: N802 - the protocol's name
        self, request: pb2.SendCommandRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb2.SendCommandResponse:
        if not request.wait_for:
            self.queues[request.client_id].put_nowait(request.command)
            return pb2.SendCommandResponse(success=True)
        message = await self.execute(request.client_id, request.command)
        return pb2.SendCommandResponse(success=True, outcome="completed", message=message)
