"""One live stream of one agent, at the edge: its queue, its commands, its timer and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import grpc

from django_cfg.apps.integrations.grpc.services.streaming.callbacks import Callbacks
from django_cfg.apps.integrations.grpc.services.streaming.commands import Command, Refusal, StreamCommands
from django_cfg.apps.integrations.grpc.services.streaming.config import BidirectionalStreamingConfig
from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop
from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandReport, CommandStamp, Undelivered
from django_cfg.apps.integrations.grpc.services.streaming.outgoing import NotWritableError, current_outgoing
from django_cfg.apps.integrations.grpc.services.streaming.session import NEVER, Due, Ending, Session
from django_cfg.apps.integrations.grpc.services.streaming.status import AgentStatus
from django_cfg.apps.integrations.grpc.services.streaming.turns import Turns
from django_cfg.rpc.logs import about

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

__all__ = ["Connection", "Control"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")

LEAVE_SECONDS = 1.0
"""How long a write may go on once the stream is to end; an agent that does not read is then cut off."""
FLUSH_SECONDS = 10.0
GOODBYE = Ending("OK", "the agent's side of the stream has ended")
UNREAD = Ending("DEADLINE_EXCEEDED", "the agent has not read in time what was sent before the end of its stream")


class Table(Protocol[TMessage, TCommand]):
    """Where a connection is known; it says itself when it is not any more."""

    def leave(self, connection: Connection[TMessage, TCommand], /) -> None: ...

    def closed(self, connection: Connection[TMessage, TCommand], /) -> None: ...

    def over(self, connection: Connection[TMessage, TCommand], /) -> None: ...


class Control:
    """A message of the server itself, such as a ping: nobody waits for its outcome, and it is not stamped."""

    __slots__ = ("payload",)

    def __init__(self, payload: Any) -> None:
        self.payload = payload


class Connection(Generic[TMessage, TCommand]):
    """From an agent's first message to the end of its stream. Belongs to the event loop."""

    __slots__ = (
        "_aborted",
        "_calls",
        "_closed",
        "_context",
        "_final",
        "_loop",
        "_outgoing",
        "_refusals",
        "_rpc",
        "_session",
        "_stamp",
        "_table",
        "_timer",
        "agent_id",
        "commands",
        "connected_at",
        "ending",
        "epoch",
        "in_hand",
        "last_ack_at",
        "peer",
        "queue",
        "turns",
    )

    def __init__(
        self,
        agent_id: str,
        epoch: int,
        context: ServicerContext[Any, Any],
        rpc: asyncio.Task[Any] | None,
        calls: Callbacks[TMessage, TCommand],
        config: BidirectionalStreamingConfig,
        home: OwningLoop,
        table: Table[TMessage, TCommand],
    ) -> None:
        self.agent_id = agent_id
        self.epoch = epoch
        self.peer = str(context.peer())
        self.connected_at = time.time()
        self.last_ack_at: float | None = None
        self.ending: Ending | None = None
        self.commands: StreamCommands[TCommand] = StreamCommands()
        self.queue: OutboundQueue[Any] = OutboundQueue(config.max_queue_size, home)
        self._calls = calls
        self._context = context
        self._rpc = rpc
        if rpc is not None:
            rpc.add_done_callback(self.gone)
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._session = Session(config, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self.in_hand: Any = None
        self._outgoing = current_outgoing.get()
        self._refusals: tuple[Refusal, ...] = ()
        self._stamp = CommandStamp(agent_id, epoch, None)
        self._closed = self._aborted = False
        self._final = Ending("OK")
        self.turns: Turns[TMessage] = Turns(agent_id, calls, config, self._session, self.queue, self.end, self._over)

    def start(self, before: Connection[TMessage, TCommand] | None) -> None:
        """Live from here on; the agent's callbacks begin once those of its stream `before` have ended."""
        self.turns.start(None if before is None else before.turns)
        self._arm()
        self._calls.note(self.agent_id, "agent %a connected from %s, epoch %d", self.agent_id, self.peer, self.epoch)

    def _over(self) -> None:
        self._table.over(self)

    async def receive(self, message: TMessage) -> None:
        """What it reports is settled at once, also while an earlier message is still being processed."""
        if self.ending is not None:
            return
        self._session.heard(self._loop.time())
        self._calls.counts.messages += 1
        if self._calls.outcome_of is not None:
            self._settle_by(self._calls.outcome_of, message)
        await self.turns.take(message)

    def _settle_by(self, outcome_of: Callable[[TMessage], CommandReport | None], message: TMessage) -> None:
        try:
            report = outcome_of(message)
            refusal = None if report is None else self.commands.report(report, message)
        except BaseException as error:  # noqa: BLE001 - whatever the application's own function raises
            self._calls.failed(self.agent_id, "outcome_of", error)
            return
        if refusal is not None:
            self._refuse_report(refusal)
        elif report is not None:
            self.last_ack_at = time.time()

    def _refuse_report(self, refusal: Refusal) -> None:
        """Only the first of a kind is logged: how many there are is the agent's choice.

        That nobody waits for a report, any more or at all, is no fault of the agent's.
        """
        self._calls.counts.refused_reports += 1
        if refusal in self._refusals:
            return
        self._refusals += (refusal,)
        level = logging.INFO if refusal is Refusal.NOT_IN_FLIGHT else logging.WARNING
        self._calls.logger.log(
            level, "a report of agent %a was refused: %s", self.agent_id, refusal, extra=about(client=self.agent_id)
        )

    def prepare(self, item: Any) -> TCommand | None:
        """What is to be written for an item of the queue; None when that is nothing."""
        if isinstance(item, Control):
            payload: TCommand = item.payload
            return payload
        now = self._loop.time()
        self._session.sent_at = now
        if item.__class__ is not Command:
            return self._ready(item, None, None)
        command: Command[TCommand] = item
        if not self.commands.may_send(command, now):
            return None
        return self._ready(command.payload, command, command.deadline - now)

    def _ready(
        self, payload: TCommand, command: Command[TCommand] | None, expires_in_seconds: float | None
    ) -> TCommand | None:
        try:
            stamped = self._stamped(payload, expires_in_seconds)
            if self._outgoing is not None:
                self._outgoing.check(stamped)
        except BaseException as error:  # noqa: BLE001 - whatever the application's own function raises
            self._unsendable(payload, command, error)
            return None
        return stamped

    def _unsendable(self, payload: TCommand, command: Command[TCommand] | None, error: BaseException) -> None:
        culprit, detail, reason = "stamp_command", "stamp_command failed", Undelivered.STAMP_FAILED
        if isinstance(error, NotWritableError):
            culprit, detail, reason = "the serializer", str(error), Undelivered.NOT_WRITABLE
        self._calls.failed(self.agent_id, culprit, error)
        if command is None:
            self._calls.undelivered(self.agent_id, [payload], reason)
        else:
            self.commands.fail(command, detail)

    def _stamped(self, payload: TCommand, expires_in_seconds: float | None) -> TCommand:
        if self._calls.stamp is None:
            return payload
        stamp = self._stamp
        if expires_in_seconds is not None:
            stamp = CommandStamp(self.agent_id, self.epoch, expires_in_seconds)
        stamped = self._calls.stamp(payload, stamp)
        if stamped is None:  # pyright: ignore[reportUnnecessaryComparison] - it is the application's own function
            raise TypeError("it returned None in place of a command")
        return stamped

    def say(self, create: Callable[[], TCommand], name: str) -> bool:
        """Send a message of the server itself, in front of all commands; whether there was one."""
        try:
            message = self._created(create)
        except BaseException as error:  # noqa: BLE001 - whatever the application's own function raises
            self._calls.failed(self.agent_id, name, error)
            return False
        self.queue.put_urgent(Control(message))
        return True

    def _created(self, create: Callable[[], TCommand]) -> TCommand:
        message = create()
        if message is None:  # pyright: ignore[reportUnnecessaryComparison] - it is the application's own function
            raise TypeError("it returned None, and must return the message to send")
        if self._outgoing is not None:
            self._outgoing.check(message)
        return message

    def finish(self, ending: Ending, within_seconds: float, reason: str = Undelivered.STREAM_ENDED) -> None:
        """Take no more commands, send those that wait, then end; after `within_seconds` end in any case."""
        if self.ending is not None:
            return
        self._final = ending
        self._table.leave(self)
        self._end_commands(ending.sentence, reason)
        self.queue.finish()
        self._disarm()
        self._timer = self._loop.call_later(within_seconds, self.end, ending, reason)

    async def finish_reading(self) -> None:
        """The agent has said all: process it, send what that brings, and end with OK."""
        if self.ending is not None:
            return
        self._table.leave(self)
        self._end_commands(GOODBYE.sentence, Undelivered.STREAM_ENDED)
        self._disarm()
        await self.turns.finished()
        self.finish(GOODBYE, FLUSH_SECONDS)

    def end(self, ending: Ending | None = None, reason: str = Undelivered.STREAM_ENDED) -> Ending:
        """The first ending counts. What is not sent yet will not be; a write that is under way gets a moment more."""
        if self.ending is None:
            self.ending = ending or self._final
            self._calls.note(self.agent_id, "the stream of agent %a ends: %s %s", self.agent_id, *self.ending)
            self._calls.counts.ended[self.ending.status] += 1
            self._table.leave(self)
            left = [item for item in self.queue.end() if item.__class__ is not Command]
            self._calls.undelivered(self.agent_id, left, reason)
            self._end_commands(self.ending.sentence, reason)
            self.turns.close()
            self._disarm()
            self._timer = self._loop.call_later(LEAVE_SECONDS, self._cut_off)
        return self.ending

    def _end_commands(self, detail: str, reason: str) -> None:
        unsent = self.commands.end(detail)
        self._calls.undelivered(self.agent_id, [command.payload for command in unsent], reason)

    def _cut_off(self) -> None:
        """The agent does not read: its status, which OK cannot be then, has to overtake the write that blocks."""
        if self._rpc is not None:
            if self.end().status == "OK":
                self.ending = UNREAD
            self._calls.late_statuses.spawn(self._abort_late())
            self._loop.call_soon(self._rpc.cancel)

    async def _abort_late(self) -> None:
        """The stream may be gone before its status finds a way: there is nobody left to tell then."""
        with contextlib.suppress(grpc.aio.AbortError, grpc.aio.InternalError):
            await self.abort()

    async def abort(self) -> None:
        """Ends the stream with its status, once; raises what grpc raises to leave a handler."""
        ending = self.end()
        if not self._aborted:
            self._aborted = True
            await self._context.abort(grpc.StatusCode[ending.status], ending.sentence)

    def gone(self, _rpc: asyncio.Task[Any]) -> None:
        """The task of the stream has ended, while the generator that it ran may end only later."""
        self.close()

    def close(self) -> None:
        """The stream is gone, whoever ended it; called by each of those who notice."""
        if self._closed:
            return
        self._closed = True
        self.end(Ending("CANCELLED", "the stream was broken off"))
        self._disarm()
        self._table.closed(self)
        in_hand = self.in_hand
        if in_hand is not None and not isinstance(in_hand, Command | Control):
            self._calls.undelivered(self.agent_id, [in_hand], Undelivered.INTERRUPTED)
        self.in_hand = self._rpc = None

    def _arm(self) -> None:
        at = self._session.next_due_at
        if at != NEVER and self.ending is None:
            self._timer = self._loop.call_at(at, self._on_time)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _on_time(self) -> None:
        now = self._loop.time()
        if self.turns.holds_up:
            self._session.heard(now)
        due = self._session.due(now)
        if isinstance(due, Ending):
            self._calls.counts.silent_streams += due.status == "DEADLINE_EXCEEDED"
            self.end(due)
            return
        if due is Due.PING:
            # One that still waits is enough.
            if self.queue.has_urgent or self.say(self._calls.create_ping, "ping_message_creator"):
                self._calls.counts.pings += 1
            else:
                self._session.not_pinged(now)
        self._arm()

    def status(self) -> AgentStatus:
        return AgentStatus(
            agent_id=self.agent_id,
            epoch=self.epoch,
            connected_at=datetime.fromtimestamp(self.connected_at, UTC),
            peer=self.peer,
            queue_depth=self.queue.qsize(),
            pending_commands=len(self.commands),
            last_heard_seconds=max(0.0, self._loop.time() - self._session.heard_at),
            last_ack_at=None if self.last_ack_at is None else datetime.fromtimestamp(self.last_ack_at, UTC),
        )
