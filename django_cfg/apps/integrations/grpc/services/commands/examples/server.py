"""The server's side of the fleet: for `rungrpc`, import `grpc_handlers` in the `grpc_handlers.py` of an app."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import SERVICE_NAME
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
    CommandOutcome,
    CommandReport,
    CommandResult,
    CommandStamp,
)
from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor
from django_cfg.errors import CommandError

__all__ = ["FleetServicer", "grpc_handlers"]

logger = logging.getLogger("django_cfg.grpc.fleet")

Result = CommandResult[pb2.AgentMessage]
Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_MS = 5_000
_ANSWER_SECONDS = 1.0
_WAITS: dict[str, WaitFor] = {"acknowledged": "acknowledged", "completed": "completed"}
_OUTCOMES = {
    pb2.Report.ACKNOWLEDGED: CommandOutcome.ACKNOWLEDGED,
    pb2.Report.COMPLETED: CommandOutcome.COMPLETED,
    pb2.Report.REJECTED: CommandOutcome.REJECTED,
}


def grpc_handlers(server: grpc.aio.Server) -> None:
    """Called once by `rungrpc`: add the servicer, and offer its service to clients in this process."""
    servicer = FleetServicer()
    pb2_grpc.add_FleetServicer_to_server(servicer, server)
    register_streaming_service(SERVICE_NAME, servicer._streaming_service)  # pyright: ignore[reportPrivateUsage]


class FleetServicer(pb2_grpc.FleetServicer):
    """Streams of bots, and commands to them from other processes."""

    def __init__(self, config: BidirectionalStreamingConfig | None = None) -> None:
        self._streaming_service: BidirectionalStreamingService[pb2.AgentMessage, pb2.Command] = (
            BidirectionalStreamingService(
                config or BidirectionalStreamingConfig(),
                message_processor=_log_state,
                client_id_extractor=lambda message: message.agent_id,
                ping_message_creator=_ping,
                command_id_of=lambda command: command.command_id,
                outcome_of=_outcome,
                stamp_command=_stamped,
                drain_message_creator=lambda seconds: pb2.Command(reconnect=pb2.Reconnect(after_seconds=seconds)),
                on_connect=self._greet,
                on_undelivered=_log_undelivered,
            )
        )

    async def Connect(  # noqa: N802 - the protocol's name
        self, request_iterator: AsyncIterator[pb2.AgentMessage], context: Context
    ) -> AsyncIterator[pb2.Command]:
        async for command in self._streaming_service.handle_stream(request_iterator, context):
            yield command

    async def SendCommandToClient(  # noqa: N802 - the protocol's name
        self, request: pb2.SendCommandRequest, context: Context
    ) -> pb2.SendCommandResponse:
        if not request.wait_for:
            return await self._send(request, context)
        wait_for = _WAITS.get(request.wait_for)
        if wait_for is None:
            text = f"wait_for must be empty, 'acknowledged' or 'completed', not {request.wait_for!a:.40}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        try:
            result = await self._streaming_service.execute_command(
                request.client_id, request.command, _seconds(request, context), wait_for=wait_for
            )
        except CommandError as error:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, error.message)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return _response(result)

    async def _greet(self, client_id: str) -> None:
        """The first message tells a bot the epoch of its stream, and what time it is here."""
        await self._streaming_service.send_to_client(client_id, pb2.Command(ping=pb2.Ping()))

    async def _send(self, request: pb2.SendCommandRequest, context: Context) -> pb2.SendCommandResponse:
        room_seconds = _room_seconds(self._streaming_service.config, context)
        accepted = await self._streaming_service.send_to_client(request.client_id, request.command, room_seconds)
        return pb2.SendCommandResponse(
            success=accepted,
            outcome=CommandOutcome.DELIVERED if accepted else CommandOutcome.NOT_CONNECTED,
            may_have_run=accepted,
            command_id=request.command.command_id,
        )


def _ping() -> pb2.Command:
    """From its time an agent that has nothing to do goes on to learn how far its clock is from this one."""
    return pb2.Command(sent_at_ms=time.time_ns() // 1_000_000, ping=pb2.Ping())


def _seconds(request: pb2.SendCommandRequest, context: Context) -> float:
    """How long to wait for the agent: never longer than the caller waits for this answer."""
    asked = (request.timeout_ms or _DEFAULT_MS) / 1000
    left = cast("float | None", context.time_remaining())  # the annotation forgets calls without a deadline
    return asked if left is None else max(min(asked, left), 0.001)


def _room_seconds(config: BidirectionalStreamingConfig, context: Context) -> float | None:
    """How long to wait for room in the queue: not so long that the caller no longer hears that there was none."""
    left = cast("float | None", context.time_remaining())
    if left is None:
        return config.queue_timeout
    heard = max(0.0, left - _ANSWER_SECONDS)
    return heard if config.queue_timeout is None else min(heard, config.queue_timeout)


def _response(result: Result) -> pb2.SendCommandResponse:
    return pb2.SendCommandResponse(
        success=result.ok,
        outcome=result.outcome,
        detail=result.detail,
        may_have_run=result.may_have_run,
        command_id=result.command_id,
        epoch=result.epoch or 0,
        message=result.message,
    )


def _outcome(message: pb2.AgentMessage) -> CommandReport | None:
    report = message.report
    if message.WhichOneof("payload") != "report" or report.stage not in _OUTCOMES:
        return None
    return CommandReport(report.command_id, _OUTCOMES[report.stage], report.detail)


def _stamped(command: pb2.Command, stamp: CommandStamp) -> pb2.Command:
    """A copy: one command may go to many agents."""
    stamped = pb2.Command()
    stamped.CopyFrom(command)
    stamped.agent_id, stamped.epoch, stamped.sent_at_ms = stamp.agent_id, stamp.epoch, time.time_ns() // 1_000_000
    if stamp.expires_in_seconds is not None:
        stamped.expires_in_ms = round(stamp.expires_in_seconds * 1000)
    return stamped


async def _log_state(client_id: str, message: pb2.AgentMessage, output_queue: object) -> None:
    if message.WhichOneof("payload") == "hello":
        logger.info("bot %a has version %a", client_id, message.hello.version)


async def _log_undelivered(client_id: str, command: pb2.Command, reason: str) -> None:
    logger.warning("command %a has not reached bot %a: %s", command.command_id, client_id, reason)
