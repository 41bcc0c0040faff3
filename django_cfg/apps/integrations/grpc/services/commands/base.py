"""`StreamingCommandClient`: sends commands to one agent, whose stream may end in this process or in another one."""

from __future__ import annotations

import dataclasses
import logging
from abc import ABC
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from asgiref.sync import async_to_sync

from django_cfg.apps.integrations.grpc.agent_ids import AgentId, agent_id_of
from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.extra import require_grpc
from django_cfg.apps.integrations.grpc.services.commands.address import dialled_address, local_name
from django_cfg.apps.integrations.grpc.services.commands.config import CommandClientConfig, HostOfSettings
from django_cfg.apps.integrations.grpc.services.commands.order import Order, checked_seconds, checked_wait
from django_cfg.apps.integrations.grpc.services.commands.registry import get_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming.outbound import check_command
from django_cfg.errors import ClientNotConnectedError, CommandError, CommandTimeoutError
from django_cfg.rpc.blocking import warn_of_blocking
from django_cfg.rpc.inherited import within_call
from django_cfg.rpc.running_loop import running_loop

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.commands.remote import RemoteMethod
    from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingService
    from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor
    from django_cfg.apps.integrations.grpc.services.streaming.outcome import CommandResult

__all__ = [
    "ClientNotConnectedError",
    "CommandClientConfig",
    "CommandError",
    "CommandTimeoutError",
    "StreamingCommandClient",
]

TCommand = TypeVar("TCommand")

logger = logging.getLogger("django_cfg.grpc.commands")

_DEFAULTS = CommandClientConfig()


class StreamingCommandClient(ABC, Generic[TCommand]):
    """Safe to share between threads and event loops; opens nothing before its first command.

    A subclass sets `stub_class` and `request_class` of its protocol, or overrides `_send_via_grpc`. In the process that
    runs the service named `service_name`, or with a `streaming_service`, commands go straight to the agent's queue; not
    where `grpc_host` or `grpc_port` names a server.
    """

    stub_class: ClassVar[Any] = None
    request_class: ClassVar[Any] = None
    rpc_method_name: ClassVar[str] = "SendCommandToClient"
    client_id_field: ClassVar[str] = "client_id"
    command_field: ClassVar[str] = "command"
    service_name: ClassVar[str] = ""
    """Under which the service is registered in the process that has the streams."""

    def __init__(
        self,
        client_id: AgentId,
        streaming_service: BidirectionalStreamingService[Any, TCommand] | None = None,
        config: CommandClientConfig | None = None,
        grpc_port: int | None = None,
        grpc_host: str | None = None,
    ) -> None:
        """`settings.GRPC` says where the server is, but for what `config` names; `grpc_host` and `grpc_port` win."""
        given: dict[str, Any] = {"grpc_host": grpc_host, "grpc_port": grpc_port}
        self.client_id = _checked_id(client_id)
        if not isinstance(config, CommandClientConfig | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"config must be a CommandClientConfig, not {type(config).__name__}")
        if isinstance(streaming_service, str):
            raise TypeError(f"streaming_service must be a service, not its name {streaming_service!r:.60}")
        changes = {key: value for key, value in given.items() if value is not None}
        self.config = config or _DEFAULTS
        if changes:
            self.config = dataclasses.replace(self.config, **changes)
        self._streaming_service = streaming_service
        self._is_addressed = bool(changes)

    def is_same_process(self) -> bool:
        """Whether commands go straight to the agent's queue; asked anew for each command."""
        return self._local() is not None

    def get_grpc_address(self) -> str:
        settings = get_config()
        given = self.config.grpc_host
        host = local_name(settings) if isinstance(given, HostOfSettings) else given
        return dialled_address(host, self.config.grpc_port, settings)

    async def send_command(self, command: TCommand) -> bool:
        """Whether it was accepted into the queue of a live stream; False: the agent is not connected, or takes no more.

        Raises RPCError where the server cannot be asked: ServiceUnavailableError when nothing was sent.
        """
        return await self._send_command(command)

    def send_command_sync(self, command: TCommand) -> bool:
        """As `send_command`, from code that is not async; not from the event loop that has the streams."""
        check_command(command)
        self._warn_inside_loop("send_command")
        service = self._local()
        if service is not None:
            return service.send_to_client_sync(self.client_id, command, self.config.queue_timeout)
        if self._sends_its_own_way():
            return async_to_sync(self._send_via_grpc)(command)
        return self._remote().send(self.client_id, command)

    async def execute_command(
        self,
        command: TCommand,
        timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
        *,
        wait_for: WaitFor = "completed",
    ) -> CommandResult[Any]:
        """What became of it, within `timeout` seconds (`call_timeout` where None); never an exception for that.

        Raises RPCError for credentials or a request that the server refuses: nothing has run then.
        """
        order = self._order(command, timeout, wait_for)
        service = self._local()
        if service is not None:
            return await service.execute_command(self.client_id, command, order.timeout_seconds, wait_for=wait_for)
        return await self._remote().aexecute(order)

    def execute_command_sync(
        self, command: TCommand, timeout: float | None = None, *, wait_for: WaitFor = "completed"
    ) -> CommandResult[Any]:
        """As `execute_command`, from code that is not async; not from the event loop that has the streams."""
        order = self._order(command, timeout, wait_for)
        self._warn_inside_loop("execute_command")
        service = self._local()
        if service is not None:
            return service.execute_command_sync(self.client_id, command, order.timeout_seconds, wait_for=wait_for)
        return self._remote().execute(order)

    async def _send_command(self, command: TCommand) -> bool:
        check_command(command)
        if self.is_same_process():
            return await self._send_direct(command)
        return await self._send_via_grpc(command)

    async def _send_direct(self, command: TCommand) -> bool:
        service = self._local()
        if service is None:
            raise CommandError(f"no streaming service runs in this process that could reach {self.client_id!a}")
        return await service.send_to_client(self.client_id, command, self.config.queue_timeout)

    async def _send_via_grpc(self, command: TCommand) -> bool:
        """Override it for a protocol that `stub_class` and the attributes beside it cannot describe."""
        return await self._remote().asend(self.client_id, command)

    def _warn_inside_loop(self, twin: str) -> None:
        if running_loop() is not None:
            warn_of_blocking(logger, f"{type(self).__name__}.{twin}_sync", f"await {twin} there")

    def _local(self) -> BidirectionalStreamingService[Any, TCommand] | None:
        if self._streaming_service is not None or self._is_addressed or not self.service_name:
            return self._streaming_service
        return get_streaming_service(self.service_name)

    def _sends_its_own_way(self) -> bool:
        return type(self)._send_via_grpc is not cast("Any", StreamingCommandClient)._send_via_grpc

    def _order(self, command: TCommand, timeout: float | None, wait_for: WaitFor) -> Order:
        check_command(command)
        seconds = self.config.call_timeout if timeout is None else timeout
        limit = within_call(checked_seconds(seconds))
        return Order(self.client_id, command, getattr(command, "command_id", ""), limit, checked_wait(wait_for))

    def _remote(self) -> RemoteMethod:
        if self.stub_class is None or self.request_class is None:
            raise NotImplementedError(
                f"{type(self).__name__} reaches other processes once stub_class and request_class are set to the"
                " classes of its protocol; for send_command alone, _send_via_grpc may be overridden instead"
            )
        return _remote_method()(
            self.stub_class,
            self.rpc_method_name,
            self.request_class,
            self.client_id_field,
            self.command_field,
            self.get_grpc_address(),
            self.config,
        )


def _checked_id(given: AgentId) -> str:
    agent_id = agent_id_of(given)
    if not agent_id:
        raise ValueError("client_id must name an agent, and is empty")
    if any("\ud800" <= mark <= "\udfff" for mark in agent_id):
        raise ValueError(f"client_id must be text that UTF-8 can write, not {agent_id!a:.60}")
    return agent_id


@cache
def _remote_method() -> type[RemoteMethod]:
    try:
        from django_cfg.apps.integrations.grpc.services.commands.remote import RemoteMethod
    except ImportError:
        require_grpc()
        raise
    return RemoteMethod
