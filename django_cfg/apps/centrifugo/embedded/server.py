"""The ASGI edge: the client endpoint, the server API, and everything else for the wrapped application."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import random
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from msgspec import Raw

from . import api, codes
from .api_wire import Publish, PublishResult
from .backend import ProxyBackend
from .codes import ErrorReply
from .config import ServerConfig
from .connection import Connection, Receive, Send
from .node import Node
from .origins import origin_allowed

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SUBPROTOCOL = "centrifuge-json"
DRAIN_SECONDS = 5.0
EXPIRE_INTERVAL_SECONDS = 1.0


class EmbeddedServer:
    """Belongs to one event loop, from `start` to `stop`; under ASGI servers the lifespan messages call both."""

    def __init__(self, config: ServerConfig, backend: ProxyBackend, fallback_app: ASGIApp) -> None:
        self.config = config
        self.node = Node(config, lambda: str(uuid.uuid4()), random.random, time.time())
        self._backend = backend
        self._fallback_app = fallback_app
        self._connections: dict[Connection, asyncio.Task[Any] | None] = {}
        self._expiry: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Starts the backend, and begins to forget what has expired."""
        self._stopping = False
        await self._backend.start(self.publish, self.api)
        if self._expiry is None:
            self._expiry = asyncio.create_task(self._expire())

    async def stop(self) -> None:
        """Lets the backend finish, then closes every connection with 3001 and waits, but not for ever; works once."""
        if self._stopping:
            return
        self._stopping = True
        await self._backend.drain()
        for connection in list(self._connections):
            connection.session.close(codes.SHUTDOWN)
        tasks = [task for task in self._connections.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        await self._backend.close()

    def api(self, method: str, body: bytes) -> tuple[int, bytes]:
        """One call of the server API: HTTP status and JSON."""
        return api.execute(self.node, method, body, time.time())

    def publish(self, channel: str, data: bytes) -> PublishResult | ErrorReply:
        """Publishes JSON; to be called on the event loop."""
        return api.publish(self.node, Publish(Raw(data), channel=channel), time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket" and scope["path"] == self.config.websocket.handler_prefix:
            await self._connect(scope, receive, send)
        elif scope["type"] == "http" and (method := self._api_method(scope)) is not None:
            await self._serve_api(method, scope, receive, send)
        else:
            await self._fallback_app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        allowed = self.config.client.allowed_origins
        await receive()
        if self._stopping or not origin_allowed(headers.get("origin", ""), headers.get("host", ""), allowed):
            await send({"type": "websocket.close", "code": 1008})
            return
        offered = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": offered})
        connection = Connection(self.node, self._backend, receive, send)
        self._connections[connection] = asyncio.current_task()
        try:
            await connection.run()
        finally:
            del self._connections[connection]

    def _api_method(self, scope: Scope) -> str | None:
        """The method asked for; without the key only what looks like a call, for the project may have paths there."""
        prefix, _, method = scope["path"].rpartition("/")
        if prefix != self.config.http_api.handler_prefix:
            return None
        is_call = method in api.METHODS and scope["method"] == "POST"
        return method if is_call or self._authorized(_headers(scope), scope["query_string"]) else None

    async def _serve_api(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        if method not in api.METHODS:
            status, body = 404, b"Not Found"
        elif scope["method"] != "POST":
            status, body = 405, b"Method Not Allowed"
        elif not self._authorized(headers, scope["query_string"]):
            status, body = 401, b"Unauthorized"
        elif self._stopping:
            status, body = 503, b"Service Unavailable"
        else:
            mode = headers.get("x-centrifugo-error-mode") or self.config.http_api.error_mode
            sent = await _body(receive)
            status, body = api.execute(self.node, method, sent, time.time(), error_status=mode == "transport")
        kind = b"application/json" if body[:1] == b"{" else b"text/plain; charset=utf-8"
        length = str(len(body)).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind), (b"content-length", length)],
            }
        )
        await send({"type": "http.response.body", "body": body})

    def _authorized(self, headers: dict[str, str], query: bytes) -> bool:
        if self.config.http_api.insecure:
            return True
        given = [_key_in_headers(headers), *parse_qs(query.decode("latin-1")).get("api_key", [])[:1]]
        key = self.config.http_api.key.encode()
        return bool(key) and any(hmac.compare_digest(key, candidate.encode()) for candidate in given)

    async def _expire(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(EXPIRE_INTERVAL_SECONDS)
                self.node.hub.expire(time.time())


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _key_in_headers(headers: dict[str, str]) -> str:
    """`Authorization: apikey KEY` is looked at only without an `X-API-Key`."""
    scheme, _, credentials = headers.get("authorization", "").strip().partition(" ")
    return headers.get("x-api-key") or (credentials.strip() if scheme.lower() == "apikey" else "")


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
