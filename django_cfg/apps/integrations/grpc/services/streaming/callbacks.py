"""Everything that an application has given to its service, and how it is called."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from django_cfg.apps.integrations.grpc.services.streaming.background import Background
from django_cfg.apps.integrations.grpc.services.streaming.counts import StreamCounts
from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandReport, CommandStamp
from django_cfg.apps.integrations.grpc.services.streaming.types import (
    ConnectionCallback,
    ErrorCallback,
    UndeliveredCallback,
    check_callback,
)
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.logs import about

__all__ = ["Callbacks", "was_cancelled"]

TMessage = TypeVar("TMessage")
TCommand = TypeVar("TCommand")

MOST_UNTOLD = 1_000
"""Callbacks under way beside the streams; beyond, errors are only logged."""


@dataclass(frozen=True, slots=True)
class Callbacks(Generic[TMessage, TCommand]):
    """Whatever one of these raises is logged and told to `on_error`, and goes no further."""

    process: Callable[[str, TMessage, OutboundQueue[Any]], Awaitable[None]]
    client_id_of: Callable[[TMessage], str]
    create_ping: Callable[[], TCommand]
    on_connect: ConnectionCallback | None
    on_disconnect: ConnectionCallback | None
    on_error: ErrorCallback | None
    on_undelivered: UndeliveredCallback | None
    command_id_of: Callable[[TCommand], str] | None
    outcome_of: Callable[[TMessage], CommandReport | None] | None
    stamp: Callable[[TCommand, CommandStamp], TCommand] | None
    create_drain: Callable[[float], TCommand] | None
    logger: logging.Logger
    notes: bool
    """Whether streams that come and go are logged."""
    lanes: Lanes = field(default_factory=Lanes)
    background: Background = field(default_factory=Background)
    late_statuses: Background = field(default_factory=Background)
    """What agents that do not read will be told if they ever read on."""
    counts: StreamCounts = field(default_factory=StreamCounts)

    def __post_init__(self) -> None:
        check_callback("message_processor", self.process, "async def (client_id, message, output_queue)")
        check_callback("client_id_extractor", self.client_id_of, "def (message) -> str")
        check_callback("ping_message_creator", self.create_ping, "def () -> command")
        for name, given, form in (
            ("on_connect", self.on_connect, "async def (client_id)"),
            ("on_disconnect", self.on_disconnect, "async def (client_id)"),
            ("on_error", self.on_error, "async def (client_id, error)"),
            ("on_undelivered", self.on_undelivered, "async def (client_id, command, reason)"),
            ("command_id_of", self.command_id_of, "def (command) -> str"),
            ("outcome_of", self.outcome_of, "def (message) -> CommandReport | None"),
            ("stamp_command", self.stamp, "def (command, stamp) -> command"),
            ("drain_message_creator", self.create_drain, "def (seconds) -> command"),
        ):
            if given is not None:
                check_callback(name, given, form)

    def note(self, agent_id: str, text: str, *given: object) -> None:
        """Log what is no failure."""
        if self.notes:
            self.logger.info(text, *given, extra=about(client=agent_id))

    async def attempt(self, agent_id: str, name: str, call: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well. Only a cancellation of the calling task itself is raised."""
        try:
            with self.lanes.use():
                await call()
        except BaseException as error:
            if was_cancelled(error):
                raise
            self.failed(agent_id, name, error)
            return False
        return True

    def failed(self, agent_id: str, name: str, error: BaseException) -> None:
        """Log it, and tell `on_error` by and by, unless that is far behind: how many fail is the agents' choice."""
        self.logger.error("%s failed for agent %a", name, agent_id, exc_info=error, extra=about(client=agent_id))
        if self.on_error is not None and len(self.background) < MOST_UNTOLD:
            self.background.spawn(self._tell(self.on_error, agent_id, error))

    def undelivered(self, agent_id: str, commands: list[TCommand], reason: str) -> None:
        """Tell `on_undelivered` by and by, one after the other."""
        self.counts.undelivered_commands += len(commands)
        if not commands:
            return
        self.logger.warning(
            "%d commands may not have reached agent %a: %s",
            len(commands),
            agent_id,
            reason,
            extra=about(client=agent_id),
        )
        if self.on_undelivered is not None:
            self.background.spawn(self._report(self.on_undelivered, agent_id, commands, reason))

    async def _report(self, tell: UndeliveredCallback, agent_id: str, commands: list[TCommand], reason: str) -> None:
        for command in commands:
            await self.attempt(agent_id, "on_undelivered", partial(tell, agent_id, command, reason))

    async def _tell(self, tell: ErrorCallback, agent_id: str, error: BaseException) -> None:
        try:
            with self.lanes.use():
                await tell(agent_id, error)
        except BaseException as again:
            if was_cancelled(again):
                raise
            self.logger.exception("on_error itself failed for agent %a", agent_id, extra=about(client=agent_id))


def was_cancelled(error: BaseException) -> bool:
    """Whether the running task is being cancelled, unlike a callback that raised CancelledError of its own accord."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
