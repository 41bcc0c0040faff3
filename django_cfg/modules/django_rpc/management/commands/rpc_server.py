"""`manage.py rpc_server`: answers the requests of `rpc.call`, and reaches browsers where Centrifugo's part is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.errors import ConfigurationError
from django_cfg.modules.django_rpc.builtin import Delivery, served_router
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.running import run_processes, run_until_stopped
from django_cfg.rpc.router import get_global_router


class Command(BaseCommand):
    """Parses, joins the parts, starts."""

    help = "Answer calls that other processes make over Redis, until SIGTERM or SIGINT; then finish what runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many processes (default 1)")
        parser.add_argument(
            "--concurrency", type=int, default=100, metavar="N", help="calls at once in each process (default 100)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1 or options["concurrency"] < 1:
            raise CommandError("--processes and --concurrency must be 1 or more")
        config = read_config()

        def work() -> int:
            return 0 if asyncio.run(self._serve(config, options["concurrency"])) else 1

        status = run_processes(options["processes"], work)
        if status:
            raise SystemExit(status)

    async def _serve(self, config: WebSocketRPCConfig, concurrency: int) -> bool:
        from django_cfg.modules.django_rpc.server import ServerOptions, StreamServer

        async with browsers() as delivery:
            server = StreamServer(
                config,
                served_router(get_global_router(), delivery),
                stream=config.request_stream,
                role="server",
                options=ServerOptions(concurrency=concurrency),
            )
            return await run_until_stopped(server, lambda: self._say_ready(config.request_stream, server.consumer))

    def _say_ready(self, stream: str, consumer: str) -> None:
        self.stdout.write(f"Serving {stream} as {consumer} (stop with CONTROL-C)")
        self.stdout.flush()


def read_config() -> WebSocketRPCConfig:
    """For commands that need a Redis; raises CommandError."""
    from django_cfg.modules.django_rpc.extra import require_redis

    try:
        config = get_config()
        require_redis()
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    if config.in_memory:
        raise CommandError("with redis_url='memory://' every process answers its own calls; there is nothing to serve")
    return config


@asynccontextmanager
async def browsers() -> AsyncIterator[Delivery | None]:
    """The way to browsers of a project that has Centrifugo's part; for this event loop. Raises CommandError."""
    if not apps.is_installed("django_cfg.apps.centrifugo"):
        yield None
        return
    from django_cfg.apps.centrifugo.batching import BatchingPublisher
    from django_cfg.apps.centrifugo.conf import get_config as get_centrifugo_config
    from django_cfg.apps.centrifugo.delivery import BrowserDelivery
    from django_cfg.rpc.publisher import use_publisher

    try:
        publisher = BatchingPublisher(get_centrifugo_config())
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    try:
        with use_publisher(publisher):
            yield BrowserDelivery(publisher)
    finally:
        await publisher.close()
