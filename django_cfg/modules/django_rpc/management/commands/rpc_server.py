"""`manage.py rpc_server`: answers the requests of `rpc.call`, and reaches browsers where Centrifugo's part is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django_cfg.modules.django_rpc.builtin import Delivery, served_router
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.stream_command import Served, StreamCommand, browsers
from django_cfg.rpc.router import get_global_router


class Command(StreamCommand):
    help = "Answer calls that other processes make over Redis, until SIGTERM or SIGINT; then finish what runs."

    @asynccontextmanager
    async def served(self, config: WebSocketRPCConfig) -> AsyncGenerator[Served]:
        async with browsers() as delivery, listening(config, delivery):
            yield Served(config.request_stream, "server", served_router(get_global_router(), delivery))


@asynccontextmanager
async def listening(config: WebSocketRPCConfig, delivery: Delivery | None) -> AsyncGenerator[None]:
    """Hear broadcasts meanwhile, where browsers can be reached."""
    if delivery is None:
        yield
        return
    from django_cfg.modules.django_rpc.listener import BroadcastListener

    task = asyncio.create_task(BroadcastListener(config, delivery).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
