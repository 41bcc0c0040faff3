"""Handlers in the embedded server's own process: its proxies end here, and publications need no HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.delivery import use_browsers
from django_cfg.apps.centrifugo.embedded.backend import Api, Publish
from django_cfg.apps.centrifugo.embedded.codes import ErrorReply
from django_cfg.apps.centrifugo.embedded.config import Proxy
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest, RPCProxyRequest
from django_cfg.apps.centrifugo.server_api import channels_body, presence_body, read_channels, read_presence
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import PublishError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.publisher import Publisher

__all__ = ["Companion", "LocalBackend", "LocalPublisher"]

logger = logging.getLogger("django_cfg.centrifugo")

Companion = Callable[[], AbstractAsyncContextManager[object]]
"""What else serves in this process: entered on the server's event loop once browsers can be reached."""


class LocalPublisher(Publisher):
    """Publishes on the embedded server's event loop."""

    def __init__(self, publish: Publish, api: Api) -> None:
        super().__init__()
        self._publish = publish
        self._api = api

    async def deliver(self, channel: str, data: bytes) -> None:
        answer = self._publish(channel, data)
        if isinstance(answer, ErrorReply):
            raise PublishError(f"the publication to {channel!r} was refused: {answer.message} (error {answer.code})")

    async def presence(self, channel: str) -> int:
        return read_presence(*self._api("presence_stats", presence_body(channel)))

    async def channels(self, pattern: str) -> Sequence[str]:
        return read_channels(*self._api("channels", channels_body(pattern)))


class LocalBackend:
    """Runs calls from `start` to `drain`; while it does, the process's publications take the short way."""

    def __init__(self, config: CentrifugoConfig, companions: Sequence[Companion] = ()) -> None:
        self._config = config
        self._companions = companions
        self._resources = AsyncExitStack()
        self._serving = AsyncExitStack()
        self._endpoint: RPCEndpoint | None = None

    async def start(self, publish: Publish, api: Api) -> None:
        publisher = LocalPublisher(publish, api)
        lanes = Lanes(self._config.database_lanes)
        self._resources.callback(lanes.close)
        self._resources.enter_context(use_browsers(publisher))
        self._endpoint = RPCEndpoint(build_runner(self._config, lanes), self._config, publisher.publish)
        for companion in self._companions:
            await self._serving.enter_async_context(companion())

    async def publish(self, request: PublishProxyRequest, proxy: Proxy) -> ProxyAnswer:
        return await self._running().publish(request)

    async def rpc(self, request: RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        return await self._running().rpc(request)

    async def drain(self) -> None:
        await self._serving.aclose()
        cancelled = await self._running().runner.drain(self._config.drain_timeout_seconds)
        if cancelled:
            logger.error("%d calls were cancelled at the end of drain_timeout_seconds", cancelled)

    async def close(self) -> None:
        await self._resources.aclose()
        self._endpoint = None

    def _running(self) -> RPCEndpoint:
        if self._endpoint is None:
            raise RuntimeError("the backend has not been started")
        return self._endpoint
