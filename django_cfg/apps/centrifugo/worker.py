"""The HTTP edge on its own: a bare ASGI application that answers Centrifugo's proxies without Django's request handling."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any, TypeAlias

from django_cfg.apps.centrifugo import http_edge
from django_cfg.apps.centrifugo.batching import BatchingPublisher
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.server_config import PROXY_SECRET_HEADER
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.publisher import use_publisher

__all__ = ["Worker"]

logger = logging.getLogger("django_cfg.centrifugo")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ROUTES = {"/centrifugo/publish": http_edge.answer_publish, "/centrifugo/rpc": http_edge.answer_rpc}


class Worker:
    """Starts and drains with the server's lifespan; `GET /livez` and `/readyz` say whether it runs and takes calls."""

    def __init__(self, config: CentrifugoConfig) -> None:
        self._config = config
        self._limit = http_edge.body_limit(config.max_request_bytes)
        self._resources = ExitStack()
        self._lanes = Lanes(config.database_lanes)
        self._endpoint: RPCEndpoint | None = None
        self._publisher: BatchingPublisher | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            status, body, kind = await self._respond(scope, receive)
            await _send_response(send, status, body, kind)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def start(self) -> None:
        self._publisher = BatchingPublisher(self._config)
        self._resources.enter_context(use_publisher(self._publisher))
        runner = build_runner(self._config, self._lanes)
        self._endpoint = RPCEndpoint(runner, self._config, self._publisher.publish)

    async def stop(self) -> None:
        """Refuse new calls, finish the running ones, send their replies."""
        if self._endpoint is not None and self._publisher is not None:
            cancelled = await self._endpoint.runner.drain(self._config.drain_timeout_seconds)
            if cancelled:
                logger.error("%d calls were cancelled at the end of drain_timeout_seconds", cancelled)
            await self._publisher.close()
            self._endpoint = None
        self._resources.close()
        self._lanes.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        text = b"text/plain; charset=utf-8"
        answer = _ROUTES.get(scope["path"])
        if answer is None:
            return (*self._health(scope["path"]), text)
        headers = {name: value for name, value in scope["headers"]}
        refusal = http_edge.check_request(
            scope["method"],
            headers.get(PROXY_SECRET_HEADER.lower().encode(), b"").decode("latin-1"),
            self._config.proxy_secret,
            _length(headers),
            self._limit,
        )
        if refusal is not None:
            return refusal.status, refusal.reason.encode(), text
        body = await _read_body(receive, self._limit)
        if body is None:
            return 413, f"the body may have {self._limit} bytes".encode(), text
        if self._endpoint is None:
            return 503, b"not serving", text
        try:
            return 200, await answer(self._endpoint, body), b"application/json"
        except MalformedMessageError as error:
            return 400, error.message.encode(), text

    def _health(self, path: str) -> tuple[int, bytes]:
        if path == "/livez":
            return 200, b"ok"
        if path == "/readyz":
            return (200, b"ok") if self._endpoint is not None else (503, b"not serving")
        return 404, b"not found"


def _length(headers: dict[bytes, bytes]) -> int | None:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """None when it is larger than allowed, whatever its head said."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send_response(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
