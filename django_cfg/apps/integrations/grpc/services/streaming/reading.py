"""What agents say: the first message of a stream opens it, the others belong to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.admission import refusal_of
from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks
from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig
from django_cfg.apps.integrations.grpc.services.streaming.connection import Connection
from django_cfg.apps.integrations.grpc.services.streaming.connections import Connections
from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop
from django_cfg.apps.integrations.grpc.services.streaming.outcome import Undelivered
from django_cfg.apps.integrations.grpc.services.streaming.session import Ending
from django_cfg.apps.integrations.grpc.services.streaming.types import check_callback
from django_cfg.rpc.logs import about

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

__all__ = ["Reading"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")

FIRST_MESSAGE_SECONDS = 30.0
UNREADABLE = Ending("INVALID_ARGUMENT", "a message could not be read")
NO_ID = Ending("INVALID_ARGUMENT", "the agent's id cannot be read from its first message")
NOT_IDENTIFIED = Ending("INTERNAL", "the server failed to find out whose credentials these are")
NO_MESSAGE = Ending("INVALID_ARGUMENT", "the first message must carry the agent's id, and there was none")
NOT_IN_TIME = Ending("DEADLINE_EXCEEDED", "the first message, which carries the agent's id, has not come in time")
SUPERSEDED = Ending("ABORTED", "superseded by a newer stream of the same agent")

Opening: TypeAlias = "asyncio.Future[Connection[TMessage, TCommand] | Ending]"


class Reading(Generic[TMessage, TCommand]):
    """One task per stream reads; it is never interrupted before its stream is over, which grpcio would not survive."""

    def __init__(
        self,
        config: BidirectionalStreamingConfig,
        calls: Callbacks[TMessage, TCommand],
        connections: Connections[TMessage, TCommand],
        home: OwningLoop,
        identity_of: Callable[[ServicerContext[Any, Any]], str | None],
    ) -> None:
        self._config = config
        self._calls = calls
        self._connections = connections
        self._home = home
        check_callback("identity_of", identity_of, "def (context) -> str | None")
        self._identity_of = identity_of

    async def opened(self, opening: Opening[TMessage, TCommand]) -> Connection[TMessage, TCommand] | Ending:
        """The stream's connection, or why there is none."""
        most = min(FIRST_MESSAGE_SECONDS, self._config.connection_timeout or FIRST_MESSAGE_SECONDS)
        timer = asyncio.get_running_loop().call_later(most, _open, opening, NOT_IN_TIME)
        try:
            return await opening
        finally:
            timer.cancel()

    async def read(
        self,
        messages: AsyncIterator[TMessage],
        context: ServicerContext[TMessage, TCommand],
        opening: Opening[TMessage, TCommand],
        rpc: asyncio.Task[Any] | None,
    ) -> None:
        """To the end of the agent's side of the stream."""
        connection: Connection[TMessage, TCommand] | None = None
        try:
            async for message in messages:
                if connection is None:
                    opened = self._admit(message, context, rpc)
                    _open(opening, opened)
                    if isinstance(opened, Ending):
                        return
                    connection = opened
                await connection.receive(message)
        except Exception as error:  # noqa: BLE001 - whatever grpcio or a deserializer raises
            self._broken(connection, opening, error)
        else:
            if connection is None:
                _open(opening, NO_MESSAGE)
            else:
                await connection.finish_reading()

    def _broken(
        self, connection: Connection[TMessage, TCommand] | None, opening: Opening[TMessage, TCommand], error: Exception
    ) -> None:
        if opening.done() if connection is None else connection.ending is not None:
            return
        agent_id = "" if connection is None else connection.agent_id
        text = "a message of agent %a could not be read: %s"
        self._calls.logger.warning(text, agent_id, type(error).__name__, extra=about(client=agent_id))
        if connection is None:
            _open(opening, UNREADABLE)
        else:
            connection.end(UNREADABLE)

    def _admit(
        self, first: TMessage, context: ServicerContext[TMessage, TCommand], rpc: asyncio.Task[Any] | None
    ) -> Connection[TMessage, TCommand] | Ending:
        try:
            claimed = self._claimed(first)
        except BaseException as error:  # noqa: BLE001 - whatever the application's own function raises
            self._calls.failed("", "client_id_extractor", error)
            return NO_ID
        try:
            authenticated = self._identity_of(context)
        except BaseException as error:  # noqa: BLE001 - whatever the application's own function raises
            self._calls.failed("", "identity_of", error)
            return NOT_IDENTIFIED
        refusal = refusal_of(claimed, authenticated)
        if refusal is not None:
            self._calls.logger.warning("a stream was refused: %s", refusal.sentence, extra=about(client=str(claimed)))
            return refusal
        return self._enter(claimed, context, rpc)

    def _claimed(self, first: TMessage) -> str:
        claimed = self._calls.client_id_of(first)
        if not isinstance(claimed, str | None):  # pyright: ignore[reportUnnecessaryIsInstance] - an application's own
            raise TypeError(f"it must return the agent's id as a text, not {type(claimed).__name__}")
        return claimed

    def _enter(
        self, agent_id: str, context: ServicerContext[TMessage, TCommand], rpc: asyncio.Task[Any] | None
    ) -> Connection[TMessage, TCommand]:
        connection = Connection(
            agent_id,
            self._connections.next_epoch(time.time_ns() // 1_000_000),
            context,
            rpc,
            self._calls,
            self._config,
            self._home,
            self._connections,
        )
        self._calls.counts.streams += 1
        before = self._connections.enter(connection)
        if before is not None and before.ending is None:
            self._calls.counts.superseded_streams += 1
            before.end(SUPERSEDED, Undelivered.SUPERSEDED)
        connection.start(before)
        return connection


def _open(opening: Opening[TMessage, TCommand], result: Connection[TMessage, TCommand] | Ending) -> None:
    if not opening.done():
        opening.set_result(result)
