"""Answering the request stream beside something else, in its process and event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.extra import require_redis
from django_cfg.rpc.delivery import installed_delivery
from django_cfg.rpc.logs import about
from django_cfg.rpc.router import get_global_router

__all__ = ["answering", "config_to_answer"]

logger = logging.getLogger("django_cfg.rpc.redis")


def config_to_answer() -> WebSocketRPCConfig | None:
    """None where nothing travels over Redis: it is off, or calls stay in their process. Raises ConfigurationError."""
    config = get_config()
    if not config.enabled or config.in_memory:
        return None
    require_redis()
    return config


@asynccontextmanager
async def answering(config: WebSocketRPCConfig) -> AsyncGenerator[None]:
    """While the block runs, what `rpc_server` does; what was begun is finished at its end. Needs the package redis."""
    from django_cfg.modules.django_rpc.listener import listening
    from django_cfg.modules.django_rpc.server import StreamServer

    server = StreamServer(config, served_router(get_global_router()), stream=config.request_stream, role="server")
    async with AsyncExitStack() as stack:
        if delivery := installed_delivery():
            await stack.enter_async_context(listening(config, delivery))
        running = asyncio.create_task(server.run())
        running.add_done_callback(_say_if_failed)
        try:
            yield
        finally:
            server.stop()
            await running


def _say_if_failed(running: asyncio.Task[bool]) -> None:
    """Nobody awaits it before the end."""
    if not running.cancelled() and (error := running.exception()) is not None:
        logger.error("calls over Redis are answered no longer", exc_info=error, extra=about())
