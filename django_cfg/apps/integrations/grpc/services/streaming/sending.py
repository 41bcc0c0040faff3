"""Commands on their way to connected agents; everything here runs in the event loop of the streams."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks
from django_cfg.apps.integrations.grpc.services.streaming.command_metrics import OBSERVED, observed
from django_cfg.apps.integrations.grpc.services.streaming.commands import Command, Settled, StreamCommands, WaitFor
from django_cfg.apps.integrations.grpc.services.streaming.connection import Connection
from django_cfg.apps.integrations.grpc.services.streaming.connections import Connections
from django_cfg.apps.integrations.grpc.services.streaming.outbound import check_command
from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandOutcome, CommandResult
from django_cfg.errors import ClientNotConnectedError, ConfigurationError
from django_cfg.rpc.deadlines import Deadlines

__all__ = ["Sending"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")


class _Awaited(NamedTuple, Generic[TCommand]):
    waiter: asyncio.Future[Settled]
    commands: StreamCommands[TCommand]


class Sending(Generic[TMessage, TCommand]):
    """Holds what callers wait for, so that a drain can wait for it as well."""

    def __init__(
        self,
        connections: Connections[TMessage, TCommand],
        calls: Callbacks[TMessage, TCommand],
        queue_timeout_seconds: float | None,
    ) -> None:
        self._connections = connections
        self._calls = calls
        self._queue_timeout = queue_timeout_seconds
        self.forget()

    def forget(self) -> None:
        """Another event loop begins, in which nobody waits yet."""
        self.refusing = False
        self._awaited: dict[Command[TCommand], _Awaited[TCommand]] = {}
        self._deadlines = Deadlines(self._awaited, self._expire)

    def offer(self, agent_id: str, command: TCommand) -> bool:
        """Whether it was accepted without waiting."""
        check_command(command)
        connection = self._connections.get(agent_id)
        return connection is not None and not self.refusing and connection.queue.offer(command)

    async def send(self, agent_id: str, command: TCommand, timeout_seconds: float | None) -> bool:
        """Whether it was accepted; 0 does not wait for room."""
        if self.offer(agent_id, command):
            return True
        connection = self._connections.get(agent_id)
        if connection is None or self.refusing:
            return False
        return await _put(connection, command, self._queue_timeout if timeout_seconds is None else timeout_seconds)

    async def broadcast(self, command: TCommand, exclude: Collection[str]) -> int:
        """To how many it was accepted. A full queue is waited for while all others have been served."""
        check_command(command)
        if self.refusing:
            return 0
        receivers = [one for one in self._connections.all() if one.agent_id not in exclude]
        full = [one for one in receivers if not one.queue.offer(command)]
        late = await asyncio.gather(*(_put(one, command, self._queue_timeout) for one in full))
        return len(receivers) - len(full) + sum(late)

    async def execute(
        self, agent_id: str, command: TCommand, command_id: str, timeout_seconds: float, wait_for: WaitFor
    ) -> CommandResult[TMessage]:
        """Raises CommandError for an id that is in flight."""
        execution = self._execute(agent_id, command, command_id, timeout_seconds, wait_for)
        return await (observed(command_id, execution) if OBSERVED else execution)

    async def _execute(
        self, agent_id: str, command: TCommand, command_id: str, timeout_seconds: float, wait_for: WaitFor
    ) -> CommandResult[TMessage]:
        started = asyncio.get_running_loop().time()
        connection = self._connections.get(agent_id)
        if connection is None or self.refusing:
            detail = "the server is draining" if self.refusing else "no stream of this agent is open"
            return CommandResult(CommandOutcome.NOT_CONNECTED, command_id, agent_id, detail=detail)
        settled = await self._settled(connection, command, command_id, started + timeout_seconds, wait_for)
        return CommandResult(
            settled.outcome,
            command_id,
            agent_id,
            connection.epoch,
            settled.message,
            settled.detail,
            settled.may_have_run,
            asyncio.get_running_loop().time() - started,
        )

    def id_of(self, command: TCommand, timeout_seconds: float, wait_for: WaitFor) -> str:
        """The command's id. Raises ConfigurationError or ValueError if it cannot be executed like this."""
        check_command(command)
        if self._calls.command_id_of is None or self._calls.outcome_of is None:
            raise ConfigurationError(
                "execute_command needs to know commands by an id and to read what agents report: give "
                "BidirectionalStreamingService command_id_of=... and outcome_of=..., or use send_to_client"
            )
        if wait_for not in ("completed", "acknowledged"):
            raise ValueError(f"wait_for must be 'completed' or 'acknowledged', not {wait_for!r}")
        if not isinstance(timeout_seconds, int | float) or not 0 < timeout_seconds < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance] - a caller's
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout_seconds!r:.60}")
        return _checked_id(self._calls.command_id_of(command))

    async def _settled(
        self,
        connection: Connection[TMessage, TCommand],
        payload: TCommand,
        command_id: str,
        deadline: float,
        wait_for: WaitFor,
    ) -> Settled:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Settled] = loop.create_future()
        command = Command(command_id, payload, deadline, wait_for, partial(_set, waiter))
        connection.commands.add(command)
        self._awaited[command] = _Awaited(waiter, connection.commands)
        self._deadlines.add(command, loop)
        try:
            if not connection.queue.offer(command):
                await self._enqueue(connection, command)
            return await waiter
        finally:
            self._awaited.pop(command, None)
            connection.commands.forget(command)

    async def _enqueue(self, connection: Connection[TMessage, TCommand], command: Command[TCommand]) -> None:
        left = command.deadline - asyncio.get_running_loop().time()
        if not await _put(connection, command, left if self._queue_timeout is None else min(left, self._queue_timeout)):
            connection.commands.fail(command, "its queue is full")

    async def answered(self, deadline: float) -> None:
        """Until nobody waits for an outcome any more, or the loop's time is `deadline`."""
        loop = asyncio.get_running_loop()
        while self._awaited and (left := deadline - loop.time()) > 0:
            await asyncio.wait([one.waiter for one in self._awaited.values()], timeout=left)

    def _expire(self, command: Command[TCommand]) -> None:
        self._awaited[command].commands.expire(command)


def _checked_id(found: object) -> str:
    if not isinstance(found, str) or not found:
        raise ValueError(f"a command needs an id to be executed: command_id_of must return a text, not {found!r:.60}")
    return found


async def _put(connection: Connection[Any, Any], item: object, timeout_seconds: float | None) -> bool:
    """Whether there was room in time, and the stream had not ended."""
    if timeout_seconds == 0:
        return False
    try:
        async with asyncio.timeout(timeout_seconds):
            await connection.queue.put(item)
    except (TimeoutError, ClientNotConnectedError):
        return False
    return True


def _set(waiter: asyncio.Future[Settled], settled: Settled) -> None:
    if not waiter.done():
        waiter.set_result(settled)
