"""What the commands that serve a stream have in common."""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.errors import ConfigurationError
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.extra import require_redis
from django_cfg.modules.django_rpc.running import run_processes, run_until_stopped
from django_cfg.rpc.delivery import Delivery
from django_cfg.rpc.health import Probes, serving_health
from django_cfg.rpc.leaving import leave_soon
from django_cfg.rpc.listening import bind, parse_address
from django_cfg.rpc.router import MessageRouter

__all__ = ["Served", "StreamCommand", "browsers", "read_config"]


@dataclass(frozen=True, slots=True)
class Served:
    """A stream, the role that consumer names show, and who answers."""

    stream: str
    role: str
    router: MessageRouter


class StreamCommand(BaseCommand):
    """Parses, starts, and ends with status 0 when everything that was begun has been answered."""

    @abstractmethod
    def served(self, config: WebSocketRPCConfig) -> AbstractAsyncContextManager[Served]:
        """Entered in each process, in its event loop; raises CommandError."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many processes (default 1)")
        parser.add_argument(
            "--concurrency", type=int, default=100, metavar="N", help="calls at once in each process (default 100)"
        )
        parser.add_argument(
            "--health-addr",
            metavar="HOST:PORT",
            help="answer /livez, /readyz and /metrics here; further processes take the ports after it (default: off)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1 or options["concurrency"] < 1:
            raise CommandError("--processes and --concurrency must be 1 or more")
        config = read_config()
        listeners = _health_listeners(options["health_addr"], options["processes"])

        def work(index: int) -> int:
            health = listeners[index] if listeners else None
            return 0 if asyncio.run(self._serve(config, options["concurrency"], health)) else 1

        status = run_processes(options["processes"], work)
        if status:
            raise SystemExit(status)

    async def _serve(self, config: WebSocketRPCConfig, concurrency: int, health: socket.socket | None) -> bool:
        from django_cfg.modules.django_rpc.server import ServerOptions, StreamServer

        async with self.served(config) as served:
            server = StreamServer(
                config,
                served.router,
                stream=served.stream,
                role=served.role,
                options=ServerOptions(concurrency=concurrency),
            )
            probes = Probes(alive=server.why_dead, ready=server.why_unready)
            async with serving_health(health, probes) if health is not None else nullcontext():
                answered = await run_until_stopped(server, lambda: self._say_ready(served.stream, server.consumer))
        leave_soon(0 if answered else 1)
        return answered

    def _say_ready(self, stream: str, consumer: str) -> None:
        self.stdout.write(f"Serving {stream} as {consumer} (stop with CONTROL-C)")
        self.stdout.flush()


def _health_listeners(address: str | None, processes: int) -> list[socket.socket]:
    """Made before the processes are, so that a busy port is an error of the command; raises CommandError."""
    if address is None:
        return []
    try:
        host, port = parse_address(address)
        return [bind(host, port + index if port else 0) for index in range(processes)]
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def read_config() -> WebSocketRPCConfig:
    """For commands that need a Redis; raises CommandError."""
    try:
        config = get_config()
        require_redis()
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    if config.in_memory:
        raise CommandError("with redis_url='memory://' every process answers its own calls; there is nothing to serve")
    return config


@asynccontextmanager
async def browsers() -> AsyncGenerator[Delivery | None]:
    """The way to browsers of a project that has Centrifugo's part; for this event loop. Raises CommandError."""
    if not apps.is_installed("django_cfg.apps.centrifugo"):
        yield None
        return
    from django_cfg.apps.centrifugo.batching import BatchingPublisher
    from django_cfg.apps.centrifugo.conf import get_config as get_centrifugo_config
    from django_cfg.apps.centrifugo.delivery import use_browsers

    try:
        publisher = BatchingPublisher(get_centrifugo_config())
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    try:
        with use_browsers(publisher) as delivery:
            yield delivery
    finally:
        await publisher.close()
