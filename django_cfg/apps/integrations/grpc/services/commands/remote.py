"""The unary method by which a process without the streams sends a command: its request made, its response read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.services.commands.call_spans import CallSpan
from django_cfg.apps.integrations.grpc.services.commands.channels import Method, ServerChannel, Times, channel_to
from django_cfg.apps.integrations.grpc.services.commands.config import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.order import Order
from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor
from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandOutcome, CommandResult
from django_cfg.errors import CommandOutcomeUnknownError, CommandTimeoutError, RPCError, ServiceUnavailableError
from django_cfg.rpc import tracing

__all__ = ["RemoteMethod"]

_LIMITS = ("wait_for", "timeout_ms")
_ANSWER_SECONDS = 1.0
"""How much longer a client waits than the server does, which then says what it knows."""
_LOST = (ServiceUnavailableError, CommandTimeoutError, CommandOutcomeUnknownError)
"""After these a caller is told how the command ended; any other failure is one of the call."""
_KNOWN = frozenset(CommandOutcome)
_RAN = (CommandOutcome.ACKNOWLEDGED, CommandOutcome.COMPLETED, CommandOutcome.OUTCOME_UNKNOWN)
"""What these say of a command cannot be unsaid by a field that was left empty."""
_OUTCOMES = {
    ServiceUnavailableError: CommandOutcome.NOT_CONNECTED,
    CommandTimeoutError: CommandOutcome.TIMED_OUT,
    CommandOutcomeUnknownError: CommandOutcome.OUTCOME_UNKNOWN,
}


class RemoteMethod(NamedTuple):
    """How one protocol names its parts, and where it is served."""

    stub_class: Callable[[Any], Any]
    name: str
    request_class: Callable[..., Any]
    client_id_field: str
    command_field: str
    address: str
    config: CommandClientConfig

    def send(self, client_id: str, command: Any) -> bool:
        return bool(self._call(self._request(client_id, command), self._times(), _id_of(command)).success)

    async def asend(self, client_id: str, command: Any) -> bool:
        response = await self._acall(self._request(client_id, command), self._times(), _id_of(command))
        return bool(response.success)

    def execute(self, order: Order) -> CommandResult[Any]:
        request, times, begun = self._waiting(order), self._times(order.timeout_seconds), time.monotonic()
        try:
            response = self._call(request, times, order.command_id)
        except _LOST as error:
            return _lost(order, error, time.monotonic() - begun)
        return _result(order, response, time.monotonic() - begun)

    async def aexecute(self, order: Order) -> CommandResult[Any]:
        request, times, begun = self._waiting(order), self._times(order.timeout_seconds), time.monotonic()
        try:
            response = await self._acall(request, times, order.command_id)
        except _LOST as error:
            return _lost(order, error, time.monotonic() - begun)
        return _result(order, response, time.monotonic() - begun)

    def _call(self, request: Any, times: Times, command_id: str) -> Any:
        if not tracing.ENABLED:  # most often; an empty span is some microseconds of each command
            return self._channel().call(self.method, request, times)
        with CallSpan(self.name, command_id) as span:
            return self._channel().call(self.method, request, times, span.metadata)

    async def _acall(self, request: Any, times: Times, command_id: str) -> Any:
        if not tracing.ENABLED:
            return await self._channel().acall(self.method, request, times)
        with CallSpan(self.name, command_id) as span:
            return await self._channel().acall(self.method, request, times, span.metadata)

    @property
    def method(self) -> Method:
        return Method(self.stub_class, self.name)

    def _channel(self) -> ServerChannel:
        return channel_to(self.address, get_config())

    def _times(self, agent_seconds: float | None = None) -> Times:
        answer = self.config.call_timeout if agent_seconds is None else agent_seconds + _ANSWER_SECONDS
        return Times(self.config.connect_timeout, answer)

    def _request(self, client_id: str, command: Any) -> Any:
        return self.request_class(**{self.client_id_field: client_id, self.command_field: command})

    def _waiting(self, order: Order) -> Any:
        request = self._request(order.client_id, order.command)
        missing = [name for name in _LIMITS if not hasattr(request, name)]
        if missing:
            raise NotImplementedError(
                f"to wait for an agent from another process, {type(request).__name__} needs the fields"
                f" {' and '.join(missing)}: see fleet.proto among the examples"
            )
        request.wait_for, request.timeout_ms = order.wait_for, max(1, round(order.timeout_seconds * 1000))
        return request


def _result(order: Order, response: Any, elapsed_seconds: float) -> CommandResult[Any]:
    """A response that tells less than was asked for is taken to mean an unknown outcome: the server may be another."""
    said = getattr(response, "outcome", "")
    outcome, detail = _read(said, order.wait_for)
    return CommandResult(
        outcome=outcome,
        command_id=order.command_id,
        agent_id=order.client_id,
        epoch=getattr(response, "epoch", 0) or None,
        message=_message(response),
        detail=detail or getattr(response, "detail", ""),
        may_have_run=outcome in _RAN or bool(detail) or getattr(response, "may_have_run", True),
        elapsed_seconds=elapsed_seconds,
    )


def _read(said: str, wait_for: WaitFor) -> tuple[CommandOutcome, str]:
    """Beside an outcome that was not said, why it is taken for that."""
    if said not in _KNOWN:
        return CommandOutcome.OUTCOME_UNKNOWN, f"the server's answer has no known outcome: {said!a:.60}"
    outcome = CommandOutcome(said)
    if outcome is CommandOutcome.DELIVERED or (outcome is CommandOutcome.ACKNOWLEDGED and wait_for == "completed"):
        detail = f"the server answered {said!r} without waiting for {wait_for!r}: does its protocol have `wait_for`?"
        return CommandOutcome.OUTCOME_UNKNOWN, detail
    return outcome, ""


def _id_of(command: Any) -> str:
    return str(getattr(command, "command_id", ""))


def _message(response: Any) -> Any:
    try:
        return response.message if response.HasField("message") else None
    except ValueError:  # the protocol's responses carry none
        return None


def _lost(order: Order, error: RPCError, elapsed_seconds: float) -> CommandResult[Any]:
    outcome = next(outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind))
    return CommandResult(
        outcome=outcome,
        command_id=order.command_id,
        agent_id=order.client_id,
        detail=error.message,
        may_have_run=outcome is not CommandOutcome.NOT_CONNECTED,
        elapsed_seconds=elapsed_seconds,
    )
