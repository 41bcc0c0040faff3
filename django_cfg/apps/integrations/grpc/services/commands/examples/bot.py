"""The bot that the example agent carries: a state, a configuration, and work that takes its time."""

from __future__ import annotations

import asyncio
import math

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2

__all__ = ["Bot", "Refused"]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Refused(Exception):
    """What the bot will not do; the text is for whoever gave the command."""


class Bot:
    """`start_seconds` is how long it takes to warm up."""

    def __init__(self, start_seconds: float = 0.0) -> None:
        self.state: pb2.AgentState = pb2.STOPPED
        self.config = pb2.AgentConfig(interval_seconds=60.0, batch_size=10, log_level="INFO")
        self._start_seconds = start_seconds

    async def execute(self, command: pb2.Command) -> str:
        """What there is to say about it; raises Refused."""
        match command.WhichOneof("body"):
            case "start":
                return await self._start()
            case "stop":
                return await self._stop(command.stop)
            case "config_update":
                return self._update(command.config_update.changes)
            case other:
                raise Refused(f"this bot does not know the command {other}")

    async def _start(self) -> str:
        if self.state == pb2.RUNNING:
            return "it was running already"
        self.state = pb2.STARTING
        await asyncio.sleep(self._start_seconds)
        self.state = pb2.RUNNING
        return ""

    async def _stop(self, stop: pb2.Stop) -> str:
        if self.state == pb2.STOPPED:
            return "it was stopped already"
        if stop.HasField("grace_seconds") and not 0 <= stop.grace_seconds < math.inf:
            raise Refused("grace_seconds must be a number from 0 on")
        self.state = pb2.STOPPING
        if stop.HasField("grace_seconds"):
            await asyncio.sleep(stop.grace_seconds)
        self.state = pb2.STOPPED
        return ""

    def _update(self, changes: pb2.AgentConfig) -> str:
        if changes.HasField("log_level") and changes.log_level not in LOG_LEVELS:
            raise Refused(f"log_level must be one of {', '.join(LOG_LEVELS)}")
        if changes.HasField("interval_seconds") and not 0 < changes.interval_seconds < math.inf:
            raise Refused("interval_seconds must be a number above 0")
        self.config.MergeFrom(changes)
        return f"{len(changes.ListFields())} changed"
