"""`manage.py rpc_bridge`: real-time servers in any language call this project's methods."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django.core.management.base import CommandError

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.stream_command import Served, StreamCommand, browsers
from django_cfg.rpc.router import get_global_router


class Command(StreamCommand):
    help = "Answer calls that real-time servers make to this project, until SIGTERM or SIGINT; then finish what runs."

    @asynccontextmanager
    async def served(self, config: WebSocketRPCConfig) -> AsyncGenerator[Served]:
        if not config.enable_bridge:
            raise CommandError("the bridge is off: set WEBSOCKET_RPC['enable_bridge'] = True in the settings")
        async with browsers():
            yield Served(config.bridge_stream, config.bridge_consumer_name, get_global_router())
