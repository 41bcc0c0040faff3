"""Handlers in the embedded server's own process: its proxies end here, and publications need no HTTP."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.embedded.backend import Publish
from django_cfg.apps.centrifugo.embedded.codes import ErrorReply
from django_cfg.apps.centrifugo.embedded.config import Proxy
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest, RPCProxyRequest
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import PublishError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.publisher import Publisher, use_publisher

__all__ = ["LocalBackend", "LocalPublisher"]

logger = logging.getLogger("django_cfg.centrifugo")


class LocalPublisher(Publisher):
    """Publishes on the embedded server's event loop."""

    def __init__(self, publish: Publish) -> None:
        super().__init__()
        self._publish = publish

    async def deliver(self, channel: str, data: bytes) -> None:
        answer = self._publish(channel, data)
        if isinstance(answer, ErrorReply):
            raise PublishError(f"the publication to {channel!r} was refused: {answer.message} (error {answer.code})")


class LocalBackend:
    """Runs calls from `start` to `drain`; while it does, the process's publications take the short way."""

    def __init__(self, config: CentrifugoConfig) -> None:
        self._config = config
        self._resources = ExitStack()
        self._endpoint: RPCEndpoint | None = None

    async def start(self, publish: Publish) -> None:
        publisher = LocalPublisher(publish)
        lanes = Lanes(self._config.database_lanes)
        self._resources.callback(lanes.close)
        self._resources.enter_context(use_publisher(publisher))
        self._endpoint = RPCEndpoint(build_runner(self._config, lanes), self._config, publisher.publish)

    async def publish(self, request: PublishProxyRequest, proxy: Proxy) -> ProxyAnswer:
        return await self._running().publish(request)

    async def rpc(self, request: RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        return await self._running().rpc(request)

    async def drain(self) -> None:
        cancelled = await self._running().runner.drain(self._config.drain_timeout_seconds)
        if cancelled:
            logger.error("%d calls were cancelled at the end of drain_timeout_seconds", cancelled)

    async def close(self) -> None:
        self._resources.close()
        self._endpoint = None

    def _running(self) -> RPCEndpoint:
        if self._endpoint is None:
            raise RuntimeError("the backend has not been started")
        return self._endpoint
