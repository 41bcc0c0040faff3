"""`manage.py rpc_bridge`: real-time servers in any language call this project's methods."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.commands.rpc_server import browsers, read_config
from django_cfg.modules.django_rpc.running import run_processes, run_until_stopped
from django_cfg.rpc.router import get_global_router


class Command(BaseCommand):
    """As `rpc_server`, for the other direction: the bridge stream, and the project's own methods alone."""

    help = "Answer calls that real-time servers make to this project, until SIGTERM or SIGINT; then finish what runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many processes (default 1)")
        parser.add_argument(
            "--concurrency", type=int, default=100, metavar="N", help="calls at once in each process (default 100)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1 or options["concurrency"] < 1:
            raise CommandError("--processes and --concurrency must be 1 or more")
        config = read_config()
        if not config.enable_bridge:
            raise CommandError("the bridge is off: set WEBSOCKET_RPC['enable_bridge'] = True in the settings")

        def work() -> int:
            return 0 if asyncio.run(self._serve(config, options["concurrency"])) else 1

        status = run_processes(options["processes"], work)
        if status:
            raise SystemExit(status)

    async def _serve(self, config: WebSocketRPCConfig, concurrency: int) -> bool:
        from django_cfg.modules.django_rpc.server import ServerOptions, StreamServer

        async with browsers():
            server = StreamServer(
                config,
                get_global_router(),
                stream=config.bridge_stream,
                role=config.bridge_consumer_name,
                options=ServerOptions(concurrency=concurrency),
            )
            return await run_until_stopped(server, lambda: self._say_ready(config.bridge_stream, server.consumer))

    def _say_ready(self, stream: str, consumer: str) -> None:
        self.stdout.write(f"Serving {stream} as {consumer} (stop with CONTROL-C)")
        self.stdout.flush()
