"""The server: built from the configuration, bound to a port that nobody else has, drained before it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from django_cfg.apps.integrations.grpc.agents_view import add_agents_view
from django_cfg.apps.integrations.grpc.channel_options import OTHER_RPCS, server_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import server_credentials
from django_cfg.apps.integrations.grpc.hosts import is_address
from django_cfg.apps.integrations.grpc.interceptors import UNARY_LANES, Admission
from django_cfg.apps.integrations.grpc.served import all_services
from django_cfg.apps.integrations.grpc.services.streaming.draining import LAST_SECONDS, REPORT_SECONDS
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.listening import bind

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.streaming.service import BidirectionalStreamingService

__all__ = ["CommandServer", "bind_server", "build_server"]

logger = logging.getLogger("django_cfg.grpc")

LOOPBACK, IPV6_LOOPBACK = "127.0.0.1", "::1"

CLOSE_SECONDS = 1.0
"""For RPCs that have not ended by themselves when draining is over."""


def build_server(config: GRPCConfig, admission: Admission | None = None) -> grpc.aio.Server:
    """With every channel argument and the check of callers. Call it in the event loop."""
    return grpc.aio.server(
        interceptors=[admission or Admission(config)],
        options=server_options(config),
        maximum_concurrent_rpcs=config.max_agents + OTHER_RPCS,
    )


def bind_server(server: grpc.aio.Server, config: GRPCConfig, host: str, port: int) -> int:
    """The port; raises ConfigurationError that names the likely holder of a busy one, and the fix.

    Where no host is configured, clients dial localhost, and all of its addresses are to be this server's.
    """
    if port:
        _check_free(host, port)
    found = _bind(server, config, host, port)
    if host == LOOPBACK and port and "host" not in config.model_fields_set and _has_ipv6_loopback():
        _bind(server, config, IPV6_LOOPBACK, port)
    return found


def _check_free(host: str, port: int) -> None:
    """gRPC is content with any one of the addresses of a name."""
    if is_address(host):
        return
    places = {LOOPBACK, IPV6_LOOPBACK} if host == "localhost" else set[str]()  # to gRPC, whatever the machine says
    with suppress(socket.gaierror):  # which gRPC itself reports
        places |= {str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for place in places:
        if place != IPV6_LOOPBACK or _has_ipv6_loopback():
            bind(place, port).close()


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((IPV6_LOOPBACK, 0))
    except OSError:
        return False
    return True


def _bind(server: grpc.aio.Server, config: GRPCConfig, host: str, port: int) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    credentials = server_credentials(config)
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        bind(host, port).close()  # says what is wrong with the port, if it is the port
        what = "" if credentials is None else " with the certificates of GRPC, client_ca perhaps"
        raise ConfigurationError(f"cannot listen on {address}{what}: {error}") from error


class CommandServer:
    """A server with health v1 and the view of its agents, from its start to its end in order."""

    def __init__(self, config: GRPCConfig) -> None:
        self._config = config
        self._lanes = Lanes(UNARY_LANES)
        self._admission = Admission(config, self._lanes)
        self.grpc = build_server(config, self._admission)
        self._health: Any = health.aio.HealthServicer()
        self._unready = "the server is starting"
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        self.served = self._admission.served
        add_agents_view(self.grpc, self.served)

    def why_unready(self) -> str:
        """Empty while agents can connect."""
        return self._unready

    async def start(self, host: str, port: int, service_names: Sequence[str] = ()) -> int:
        """The port; `service_names` are reported as serving. Raises ConfigurationError for a port it cannot have."""
        found = bind_server(self.grpc, self._config, host, port)
        for name in service_names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self._config.reflection:
            names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self.grpc)
        await self.grpc.start()
        self._unready = ""
        return found

    async def drain(self, seconds: float) -> None:
        """Report NOT_SERVING, drain each streaming service, end what is left.

        Takes little more than `seconds`, unless callbacks need the ten seconds that they have at the end of a stream.
        """
        self._unready, end = "the server is draining", asyncio.get_running_loop().time() + seconds
        await self._health.enter_graceful_shutdown()
        drains = [asyncio.create_task(_drain(service, seconds)) for _, service in all_services(self.served)]
        if drains:
            _, late = await asyncio.wait(drains, timeout=seconds + LAST_SECONDS + REPORT_SECONDS + CLOSE_SECONDS)
            for task in late:
                task.cancel()
        await self._stop(max(CLOSE_SECONDS, end - asyncio.get_running_loop().time()))
        self._lanes.close()

    async def _stop(self, seconds: float) -> None:
        """Unary methods may end within that time; whoever watches the health of this server holds nothing up."""
        stopping = asyncio.create_task(self.grpc.stop(seconds))
        await self._admission.unary.over(seconds)
        await self.grpc.stop(CLOSE_SECONDS)
        await stopping


async def _drain(service: BidirectionalStreamingService[Any, Any], seconds: float) -> None:
    """Says at once if it fails: the process may not wait for the slowest of the others."""
    try:
        await service.drain(seconds)
    except Exception:
        logger.exception("a streaming service could not be drained")
