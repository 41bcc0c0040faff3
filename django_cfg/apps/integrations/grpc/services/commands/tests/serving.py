"""The example's server in a thread of this process, its agents beside it, and what reached it; over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import bind_server, build_server
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.agent import Agent
from django_cfg.apps.integrations.grpc.services.commands.examples.bot import Bot
from django_cfg.apps.integrations.grpc.services.commands.examples.journal import Journal
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
)

PATIENCE_SECONDS = 20.0

_T = TypeVar("_T")


class Recording(FleetServicer):
    """Notes from where each command came, and with what."""

    def __init__(self, config: BidirectionalStreamingConfig | None = None) -> None:
        super().__init__(config)
        self.peers: list[str] = []
        self.metadata: list[dict[str, Any]] = []
        self.remaining_seconds: list[float] = []
        self.requests: list[pb2.SendCommandRequest] = []

    async def SendCommandToClient(self, request: pb2.SendCommandRequest, context: Any) -> pb2.SendCommandResponse:  # noqa: N802 - the protocol's name
        self.peers.append(context.peer())
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining_seconds.append(context.time_remaining())
        self.requests.append(request)
        return await super().SendCommandToClient(request, context)

    @property
    def service(self) -> BidirectionalStreamingService[pb2.AgentMessage, pb2.Command]:
        return self._streaming_service


class Serving:
    """The server's event loop runs in a thread of its own, as in a process of its own."""

    def __init__(self, config: GRPCConfig, port: int, streaming: BidirectionalStreamingConfig | None = None) -> None:
        self.servicer = Recording(streaming)
        self.port = port
        self._config = config
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._agents: list[asyncio.Future[None]] = []
        self._streams: list[Any] = []
        self._server: grpc.aio.Server = self.run(self._start())

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """In the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def connect(self, agent_id: str, token: str = "") -> None:
        """Returns when its stream is open."""
        self.run(self._connect(agent_id, token))

    def open_stream(self, agent_id: str, answer: pb2.AgentMessage | None = None) -> None:
        """Every order on it is answered alike; without an answer nobody even reads."""
        self.run(self._open_stream(agent_id, answer))

    async def _open_stream(self, agent_id: str, answer: pb2.AgentMessage | None) -> None:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        stub: Any = pb2_grpc.FleetStub(channel)
        call = stub.Connect()
        self._streams.append((channel, call))
        await call.write(pb2.AgentMessage(agent_id=agent_id, hello=pb2.Hello()))
        await self._until_connected(agent_id)
        if answer is not None:
            self._agents.append(asyncio.ensure_future(self._answer(call, answer)))

    async def _answer(self, call: Any, answer: pb2.AgentMessage) -> None:
        async for command in call:
            if command.WhichOneof("body") != "ping":
                await call.write(answer)

    def stop(self) -> None:
        self.run(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    async def _start(self) -> grpc.aio.Server:
        server = build_server(self._config)
        pb2_grpc.add_FleetServicer_to_server(self.servicer, server)
        self.port = bind_server(server, self._config, "127.0.0.1", self.port)
        await server.start()
        return server

    async def _connect(self, agent_id: str, token: str) -> None:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        stub: Any = pb2_grpc.FleetStub(channel)
        journal = Journal()
        agent = Agent(agent_id, stub, Bot(), journal, token)
        self._agents.append(asyncio.ensure_future(self._run(agent, channel, journal)))
        await self._until_connected(agent_id)

    async def _until_connected(self, agent_id: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.servicer.service.is_client_connected(agent_id):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.005)

    async def _run(self, agent: Agent, channel: grpc.aio.Channel, journal: Journal) -> None:
        with contextlib.closing(journal):
            async with channel:
                await agent.run()

    async def _stop(self) -> None:
        for agent in self._agents:
            agent.cancel()
        await asyncio.gather(*self._agents, return_exceptions=True)
        for channel, call in self._streams:
            call.cancel()
            await channel.close()
        await self._server.stop(0)


@contextmanager
def served(
    config: GRPCConfig | None = None, port: int = 0, streaming: BidirectionalStreamingConfig | None = None
) -> Generator[Serving]:
    """At that port, or any free one."""
    serving = Serving(config or GRPCConfig(), port, streaming)
    try:
        yield serving
    finally:
        serving.close()
