"""A bidirectional method without generated code, its agents, and what tests wait for; all over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
    CommandOutcome,
    CommandReport,
    CommandStamp,
    PingStrategy,
)

METHOD = "/tests.Fleet/Connect"
PATIENCE_SECONDS = 10.0

Message = dict[str, Any]
Service = BidirectionalStreamingService[Message, Message]


def dumps(message: Message) -> bytes:
    return json.dumps(message).encode()


def loads(data: bytes) -> Message:
    found: Message = json.loads(data)
    return found


def quiet(**changes: Any) -> BidirectionalStreamingConfig:
    """Without pings, unless asked for."""
    return BidirectionalStreamingConfig(**{"ping_strategy": PingStrategy.DISABLED, **changes})


class Recorder:
    """The callbacks of an application that notes what it is told."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.disconnected: list[str] = []
        self.messages: list[Message] = []
        self.errors: list[BaseException] = []
        self.undelivered: list[tuple[str, Message, str]] = []

    async def process(self, client_id: str, message: Message, queue: Any) -> None:
        self.messages.append(message)
        if "echo" in message:
            await queue.put({"echo": message["echo"]})

    async def on_connect(self, client_id: str) -> None:
        self.connected.append(client_id)

    async def on_disconnect(self, client_id: str) -> None:
        self.disconnected.append(client_id)

    async def on_error(self, client_id: str, error: BaseException) -> None:
        self.errors.append(error)

    async def on_undelivered(self, client_id: str, command: Message, reason: str) -> None:
        self.undelivered.append((client_id, command, reason))


def id_of(message: Message) -> str:
    found: str = message["id"]
    return found


def command_id_of(command: Message) -> str:
    found: str = command["command"]
    return found


def outcome_of(message: Message) -> CommandReport | None:
    if "report" not in message:
        return None
    return CommandReport(message["report"], CommandOutcome(message["outcome"]), message.get("detail", ""))


def stamp(command: Message, given: CommandStamp) -> Message:
    return {**command, "epoch": given.epoch, "expires_in": given.expires_in_seconds}


def ping() -> Message:
    return {"ping": True}


def make_service(
    config: BidirectionalStreamingConfig | None = None, notes: Recorder | None = None, **given: Any
) -> Service:
    notes = notes or Recorder()
    callbacks: dict[str, Any] = {
        "message_processor": notes.process,
        "client_id_extractor": id_of,
        "ping_message_creator": ping,
        "on_connect": notes.on_connect,
        "on_disconnect": notes.on_disconnect,
        "on_error": notes.on_error,
        "on_undelivered": notes.on_undelivered,
        "command_id_of": command_id_of,
        "outcome_of": outcome_of,
        **given,
    }
    return BidirectionalStreamingService(config or quiet(), **callbacks)


def handlers(service: Service) -> grpc.GenericRpcHandler[Any, Any]:
    method = grpc.stream_stream_rpc_method_handler(service.handle_stream, loads, dumps)
    return grpc.method_handlers_generic_handler("tests.Fleet", {"Connect": method})


@asynccontextmanager
async def served(service: Service) -> AsyncGenerator[str]:
    """Its address, for as long as the server runs."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((handlers(service),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await service.drain(0)
        await server.stop(0)


class Agent:
    """One stream over a connection of its own."""

    def __init__(self, channel: grpc.aio.Channel, call: Any) -> None:
        self._channel = channel
        self.call = call

    async def say(self, **message: Any) -> None:
        await self.call.write(message)

    async def report(self, command_id: str, outcome: str = "completed", **more: Any) -> None:
        await self.say(report=command_id, outcome=outcome, **more)

    async def hear(self) -> Message:
        """The next message; fails the test if there is none."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self.call.read()
        assert message is not grpc.aio.EOF, f"the stream has ended: {await self.status()}"
        found: Message = message
        return found

    async def half_close(self) -> None:
        await self.call.done_writing()

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ended; waits for the end, and reads what comes before it, as the status comes last."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            return await self.call.code(), await self.call.details()

    async def break_off(self) -> None:
        """As a crash looks to the server: the connection closes, nothing is said."""
        self.call.cancel()
        await self._channel.close()


@asynccontextmanager
async def agent(address: str, agent_id: str | None = None, **hello: Any) -> AsyncGenerator[Agent]:
    """Says hello unless `agent_id` is None; gone when the block ends."""
    channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    connected = Agent(channel, channel.stream_stream(METHOD, dumps, loads)())
    try:
        if agent_id is not None:
            await connected.say(id=agent_id, **hello)
        yield connected
    finally:
        await connected.break_off()


async def until(condition: Callable[[], object]) -> None:
    """Polls: what tests wait for is seldom announced."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def clog(service: Service, agent_id: str) -> None:
    """Until the transport and the queue of an agent that does not read take no more."""
    while await service.send_to_client(agent_id, {"command": "fill", "with": "x" * 100_000}, timeout=0.3):
        pass


async def clog_but_for(service: Service, agent_id: str, room: int) -> None:
    """The transport takes no more, the queue so many: what is sent now stays in the queue."""
    await clog(service, agent_id)
    queue = service.get_active_connections()[agent_id]
    while queue.maxsize - queue.qsize() < room:
        queue.take()


@asynccontextmanager
async def one_agent(service: Service, agent_id: str = "a") -> AsyncGenerator[Agent]:
    """A server, and an agent that is connected."""
    async with served(service) as address, agent(address, agent_id) as connected:
        await until(lambda: service.is_client_connected(agent_id))
        yield connected
