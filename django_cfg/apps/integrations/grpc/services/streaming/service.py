"""The gRPC edge: streams of agents come in, commands go out to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

import grpc

from django_cfg.apps.integrations.grpc.agent_ids import AgentId, agent_id_of
from django_cfg.apps.integrations.grpc.identity import caller_id
from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks
from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor
from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig
from django_cfg.apps.integrations.grpc.services.streaming.connection import FLUSH_SECONDS, Connection
from django_cfg.apps.integrations.grpc.services.streaming.connections import Connections
from django_cfg.apps.integrations.grpc.services.streaming.counts import StreamCounts
from django_cfg.apps.integrations.grpc.services.streaming.draining import DRAINING, Draining
from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop
from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
from django_cfg.apps.integrations.grpc.services.streaming.outcome import (
    CommandOutcome,
    CommandReport,
    CommandResult,
    CommandStamp,
)
from django_cfg.apps.integrations.grpc.services.streaming.reading import Reading
from django_cfg.apps.integrations.grpc.services.streaming.sending import Sending
from django_cfg.apps.integrations.grpc.services.streaming.session import Ending
from django_cfg.apps.integrations.grpc.services.streaming.status import AgentStatus
from django_cfg.apps.integrations.grpc.services.streaming.types import (
    ClientIdExtractor,
    ConnectionCallback,
    ErrorCallback,
    MessageProcessor,
    PingMessageCreator,
    UndeliveredCallback,
)

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

__all__ = ["BidirectionalStreamingService", "seen_services"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")
T = TypeVar("T")

LOGGER_NAME = "django_cfg.grpc"
DISCONNECTED = Ending("OK", "the server has closed the stream")

seen_services: ContextVar[WeakSet[BidirectionalStreamingService[Any, Any]] | None] = ContextVar(
    "django_cfg_grpc_seen_services", default=None
)
"""To which the server that this task belongs to wants each service with a stream to be added."""


class BidirectionalStreamingService(Generic[TMessage, TCommand]):
    """All streams of one bidirectional method, and the commands for the agents at their other ends.

    The streams live in one event loop, the server's. Everything that is not named `_sync` may be awaited in any loop,
    the `_sync` forms be called from any thread that runs none; both do their work in the server's loop.
    """

    def __init__(
        self,
        config: BidirectionalStreamingConfig,
        message_processor: MessageProcessor[TMessage],
        client_id_extractor: ClientIdExtractor[TMessage],
        ping_message_creator: PingMessageCreator[TCommand],
        on_connect: ConnectionCallback | None = None,
        on_disconnect: ConnectionCallback | None = None,
        on_error: ErrorCallback | None = None,
        logger: logging.Logger | None = None,
        *,
        command_id_of: Callable[[TCommand], str] | None = None,
        outcome_of: Callable[[TMessage], CommandReport | None] | None = None,
        stamp_command: Callable[[TCommand, CommandStamp], TCommand] | None = None,
        drain_message_creator: Callable[[float], TCommand] | None = None,
        on_undelivered: UndeliveredCallback | None = None,
        identity_of: Callable[[ServicerContext[Any, Any]], str | None] = caller_id,
    ) -> None:
        self.config = _checked(config)
        self._calls: Callbacks[TMessage, TCommand] = Callbacks(
            process=message_processor,
            client_id_of=client_id_extractor,
            create_ping=ping_message_creator,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            on_error=on_error,
            on_undelivered=on_undelivered,
            command_id_of=command_id_of,
            outcome_of=outcome_of,
            stamp=stamp_command,
            create_drain=drain_message_creator,
            logger=logger or logging.getLogger(config.logger_name or LOGGER_NAME),
            notes=config.enable_logging,
        )
        self._home = OwningLoop()
        self._connections: Connections[TMessage, TCommand] = Connections()
        self._reading = Reading(config, self._calls, self._connections, self._home, identity_of)
        self._sending = Sending(self._connections, self._calls, config.queue_timeout)
        self._draining = Draining(self._connections, self._calls, self._sending)

    @property
    def counts(self) -> StreamCounts:
        """What has been seen since the service was made."""
        return self._calls.counts

    async def handle_stream(
        self, request_iterator: AsyncIterator[TMessage], context: ServicerContext[TMessage, TCommand]
    ) -> AsyncGenerator[TCommand]:
        """Answer one stream: what the servicer's bidirectional method yields."""
        self._enter_loop()
        if self._draining.under_way:
            await self._refuse(context, DRAINING)
        loop = asyncio.get_running_loop()
        opening: asyncio.Future[Connection[TMessage, TCommand] | Ending] = loop.create_future()
        reader = loop.create_task(self._reading.read(request_iterator, context, opening, asyncio.current_task()))
        connection: Connection[TMessage, TCommand] | None = None
        try:
            opened = await self._reading.opened(opening)
            if isinstance(opened, Ending):
                await self._refuse(context, opened)
                return
            connection = opened
            if self._draining.under_way:
                connection.end(DRAINING)
            queue = connection.queue
            while True:
                item = queue.take()
                if item is None:
                    if not await queue.wait():
                        break
                    continue
                command = connection.prepare(item)
                if command is not None:
                    connection.in_hand = item
                    yield command
                    connection.in_hand = None
            if connection.end().status != "OK":
                await connection.abort()
        finally:
            reader.cancel()
            if connection is not None:
                connection.close()

    async def _refuse(self, context: ServicerContext[TMessage, TCommand], ending: Ending) -> None:
        """Raises what grpcio raises to leave a handler."""
        self.counts.refused_streams += 1
        await context.abort(grpc.StatusCode[ending.status], ending.sentence)

    def _enter_loop(self) -> None:
        if (seen := seen_services.get()) is not None:
            seen.add(self)
        if self._home.adopt(self._connections.all_are_over):
            self._connections.clear()
            self._draining.forget()

    async def send_to_client(self, client_id: AgentId, command: TCommand, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - a public name
        """True: accepted into the queue of a stream that is live now; nothing is known beyond that.

        `timeout` is how long to wait for room, in seconds: 0 not at all, None as configured.
        """
        agent_id = agent_id_of(client_id)
        if self._home.is_here:  # most often without waiting, which a further coroutine would make dearer
            return self._sending.offer(agent_id, command) or await self._sending.send(agent_id, command, timeout)
        return await self._run(lambda: self._sending.send(agent_id, command, timeout), False, False)

    def send_to_client_sync(self, client_id: AgentId, command: TCommand, timeout: float | None = None) -> bool:
        """As `send_to_client`, for a thread without an event loop."""
        agent_id = agent_id_of(client_id)
        return self._run_blocking(lambda: self._sending.send(agent_id, command, timeout), False, False)

    async def broadcast_to_all(self, command: TCommand, exclude: AgentId | Iterable[AgentId] | None = None) -> int:
        """To how many agents it was accepted; none of them waits for a slower one."""
        left_out = {agent_id_of(one) for one in _several(exclude)}
        return await self._run(lambda: self._sending.broadcast(command, left_out), 0, 0)

    async def execute_command(
        self,
        client_id: AgentId,
        command: TCommand,
        timeout: float = 30.0,  # noqa: ASYNC109 - a public name
        *,
        wait_for: WaitFor = "completed",
    ) -> CommandResult[TMessage]:
        """What became of it, within `timeout` seconds; a failure is a result too, see `CommandResult`.

        Raises CommandError for an id that is in flight already, ConfigurationError without `command_id_of` and
        `outcome_of`.
        """
        agent_id, command_id = agent_id_of(client_id), self._sending.id_of(command, timeout, wait_for)
        if self._home.is_here:
            return await self._sending.execute(agent_id, command, command_id, timeout, wait_for)
        work = partial(self._sending.execute, agent_id, command, command_id, timeout, wait_for)
        return await self._run(work, *_without_loop(agent_id, command_id))

    def execute_command_sync(
        self, client_id: AgentId, command: TCommand, timeout: float = 30.0, *, wait_for: WaitFor = "completed"
    ) -> CommandResult[TMessage]:
        """As `execute_command`, for a thread without an event loop."""
        agent_id, command_id = agent_id_of(client_id), self._sending.id_of(command, timeout, wait_for)
        work = partial(self._sending.execute, agent_id, command, command_id, timeout, wait_for)
        return self._run_blocking(work, *_without_loop(agent_id, command_id))

    async def disconnect_client(self, client_id: AgentId) -> None:
        """Send what waits for the agent, then end its stream with OK; nothing happens if it is not connected."""
        agent_id = agent_id_of(client_id)
        await self._run(lambda: self._disconnect(agent_id), None, None)

    async def _disconnect(self, agent_id: str) -> None:
        connection = self._connections.get(agent_id)
        if connection is not None:
            connection.finish(DISCONNECTED, FLUSH_SECONDS)

    def is_client_connected(self, client_id: AgentId) -> bool:
        return self._home.runs and self._connections.get(agent_id_of(client_id)) is not None

    def get_active_connections(self) -> dict[str, OutboundQueue[Any]]:
        """Of all connected agents, now."""
        return {one.agent_id: one.queue for one in self._connections.all()} if self._home.runs else {}

    @property
    def _active_connections(self) -> dict[str, OutboundQueue[Any]]:
        """As `get_active_connections()`, under the name that the documents give to it."""
        return self.get_active_connections()

    def agents(self) -> list[AgentStatus]:
        """Of all connected agents, now."""
        return [one.status() for one in self._connections.all()] if self._home.runs else []

    async def drain(self, grace_seconds: float) -> None:
        """Finish what is under way, tell the agents, end all streams; new streams and commands are refused."""
        if not self._home.runs:  # no agent has come yet, and none shall while the server ends
            self._enter_loop()
        await self._run(lambda: self._draining.drain(grace_seconds), None, None)

    async def _run(self, work: Callable[[], Coroutine[Any, Any, T]], absent: T, lost: T) -> T:
        """`absent` is the answer if there is no loop with streams, `lost` if it ends meanwhile."""
        if self._home.is_here:
            return await work()
        if not self._home.runs:
            return absent
        try:
            return await self._home.run(work)
        except ConnectionError:
            return lost

    def _run_blocking(self, work: Callable[[], Coroutine[Any, Any, T]], absent: T, lost: T) -> T:
        if not self._home.runs:
            return absent
        try:
            return self._home.run_blocking(work)
        except ConnectionError:
            return lost


def _without_loop(agent_id: str, command_id: str) -> tuple[CommandResult[Any], CommandResult[Any]]:
    absent = CommandResult[Any](
        CommandOutcome.NOT_CONNECTED, command_id, agent_id, detail="no stream of this agent is open"
    )
    lost = CommandResult[Any](
        CommandOutcome.OUTCOME_UNKNOWN, command_id, agent_id, detail="the server ended meanwhile", may_have_run=True
    )
    return absent, lost


def _several(given: AgentId | Iterable[AgentId] | None) -> Iterable[AgentId]:
    if given is None:
        return ()
    return (given,) if isinstance(given, AgentId) else given


def _checked(config: object) -> BidirectionalStreamingConfig:
    if not isinstance(config, BidirectionalStreamingConfig):
        raise TypeError(f"config must be a BidirectionalStreamingConfig, not {type(config).__name__}")
    return config
