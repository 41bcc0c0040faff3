"""The HTTP edge on its own: a bare ASGI application that answers Centrifugo's proxies without Django's handling."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any, TypeAlias

from django_cfg.apps.centrifugo import http_edge
from django_cfg.apps.centrifugo.batching import BatchingPublisher
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.delivery import use_browsers
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.refusals import log_refusal
from django_cfg.apps.centrifugo.server_config import PROXY_SECRET_HEADER
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.lanes import Lanes

__all__ = ["Worker"]

logger = logging.getLogger("django_cfg.centrifugo")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Response: TypeAlias = tuple[int, bytes, bytes]
"""Status, body, content type."""

_TEXT = b"text/plain; charset=utf-8"
_SECRET_HEADER = PROXY_SECRET_HEADER.lower().encode()
_ROUTES = {"/centrifugo/publish": http_edge.answer_publish, "/centrifugo/rpc": http_edge.answer_rpc}


class Worker:
    """Starts and drains with the server's lifespan; `GET /livez` and `/readyz` say whether it runs and takes calls."""

    def __init__(self, config: CentrifugoConfig) -> None:
        self._config = config
        self._resources = ExitStack()
        self._lanes = Lanes(config.database_lanes)
        self._endpoint: RPCEndpoint | None = None
        self._publisher: BatchingPublisher | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            response = await self._respond(scope, receive)
            if response is not None:
                await _send_response(send, *response)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def start(self) -> None:
        self._publisher = BatchingPublisher(self._config)
        self._resources.enter_context(use_browsers(self._publisher))
        runner = build_runner(self._config, self._lanes)
        self._endpoint = RPCEndpoint(runner, self._config, self._publisher.reply)

    async def stop(self) -> None:
        """Refuse new calls, finish the running ones, send their replies; a further time changes nothing."""
        if self._endpoint is not None and self._publisher is not None:
            cancelled = await self._endpoint.runner.drain(self._config.drain_timeout_seconds)
            if cancelled:
                logger.error("%d calls were cancelled at the end of drain_timeout_seconds", cancelled)
            self._endpoint = None
            await self._publisher.close()
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

    async def _respond(self, scope: Scope, receive: Receive) -> Response | None:
        """None when the client has gone before its request was complete."""
        answer = _ROUTES.get(scope["path"])
        if answer is None:
            return self._health(scope["path"])
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = http_edge.check_request(
            scope["method"],
            headers.get(_SECRET_HEADER, b""),
            self._config.proxy_secret,
            headers.get(b"content-length", b"").decode("latin-1"),
            self._config.max_request_bytes,
        )
        if refusal is not None:
            return _refused(refusal)
        body = await _read_body(receive, self._config.max_request_bytes)
        if isinstance(body, http_edge.Refusal):
            return _refused(body)
        return None if body is None else await self._answer(answer, body)

    async def _answer(self, answer: Callable[[RPCEndpoint, bytes], Awaitable[bytes]], body: bytes) -> Response:
        if self._endpoint is None:
            return _refused(http_edge.Refusal(503, "not serving"))
        try:
            return 200, await answer(self._endpoint, body), b"application/json"
        except MalformedMessageError as error:
            return _refused(http_edge.Refusal(400, error.message))

    def _health(self, path: str) -> Response:
        if path == "/livez":
            return 200, b"ok", _TEXT
        if path == "/readyz":
            ready = self._endpoint is not None and not self._endpoint.runner.draining
            return (200, b"ok", _TEXT) if ready else (503, b"not serving", _TEXT)
        return 404, b"not found", _TEXT


def _refused(refusal: http_edge.Refusal) -> Response:
    log_refusal(refusal)
    return refusal.status, refusal.reason.encode(), _TEXT


async def _read_body(receive: Receive, max_request_bytes: int) -> bytes | http_edge.Refusal | None:
    """Stops at the limit, whatever the head of the request said; None when the client has gone."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if (refusal := http_edge.check_body(size, max_request_bytes)) is not None:
            return refusal
        more = message.get("more_body", False)
    return b"".join(chunks)


async def _send_response(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
