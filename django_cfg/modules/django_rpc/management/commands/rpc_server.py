"""`manage.py rpc_server`: answers the requests of `rpc.call`, and reaches browsers where Centrifugo's part is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext

from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.stream_command import Served, StreamCommand, browsers
from django_cfg.rpc.router import get_global_router


class Command(StreamCommand):
    help = "Answer calls that other processes make over Redis, until SIGTERM or SIGINT; then finish what runs."

    @asynccontextmanager
    async def served(self, config: WebSocketRPCConfig) -> AsyncGenerator[Served]:
        from django_cfg.modules.django_rpc.listener import listening

        async with browsers() as delivery, nullcontext() if delivery is None else listening(config, delivery):
            yield Served(config.request_stream, "server", served_router(get_global_router()))
