"""Who answers proxied publications and calls: the port, and its HTTP implementation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import aiohttp
import msgspec

from django_cfg.apps.centrifugo.proxy_wire import (
    ProxyAnswer,
    ProxyDisconnect,
    ProxyError,
    PublishProxyRequest,
    RPCProxyRequest,
)

from . import codes
from .api_wire import PublishResult
from .codes import ErrorReply
from .config import Proxy, StatusTransform
from .json_text import decode_json, is_utf8

logger = logging.getLogger(__name__)

FAILED = ProxyAnswer(error=ProxyError(codes.INTERNAL.code, codes.INTERNAL.message, codes.INTERNAL.temporary))
"""What the client gets when the backend cannot be reached, is too slow or makes no sense."""


_answers = msgspec.json.Decoder(ProxyAnswer)

Publish = Callable[[str, bytes], PublishResult | ErrorReply]
"""`(channel, JSON)`, on the server's event loop."""

Api = Callable[[str, bytes], tuple[int, bytes]]
"""`(method, JSON)` of the server API, to HTTP status and JSON; on the server's event loop."""


class ProxyBackend(Protocol):
    """Called on the server's event loop, within `proxy.timeout` seconds."""

    async def start(self, publish: Publish, api: Api) -> None:
        """The server runs; `publish` reaches its clients, `api` tells about them."""
        ...

    async def drain(self) -> None:
        """Refuses new calls and finishes the running ones; the clients are still connected."""
        ...

    async def publish(self, request: PublishProxyRequest, proxy: Proxy) -> ProxyAnswer:
        """May this be published, and as what?"""
        ...

    async def rpc(self, request: RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        """The answer to a native call."""
        ...

    async def close(self) -> None:
        """Frees what the backend holds; no call is under way any more."""
        ...


class HttpBackend:
    """POSTs to `proxy.endpoint` over connections that are kept open; no proxy of the environment is used."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self, publish: Publish, api: Api) -> None:
        """Needs nothing."""

    async def drain(self) -> None:
        """Waits for nothing: Centrifugo, too, cuts proxied calls short when it stops."""

    async def publish(self, request: PublishProxyRequest, proxy: Proxy) -> ProxyAnswer:
        """See `_call`."""
        return await self._call(request, proxy)

    async def rpc(self, request: RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        """See `_call`."""
        return await self._call(request, proxy)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(self, request: PublishProxyRequest | RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        """Only status 200 with the right JSON is an answer; other statuses may be transformed, the rest is FAILED."""
        headers = {**proxy.http.static_headers, "Content-Type": "application/json"}
        try:
            response = await self._open().post(proxy.endpoint, data=msgspec.json.encode(request), headers=headers)
            async with response:
                if response.status != 200:
                    return _transformed(response.status, proxy.http.status_to_code_transforms)
                body = await response.read()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.warning("proxy %s failed: %s", proxy.endpoint, type(error).__name__)
            return FAILED
        answer = decode_json(body, _answers) if is_utf8(body) else None
        if answer is None:
            logger.warning("proxy %s did not answer with its JSON", proxy.endpoint)
        return answer or FAILED

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=90)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session


def _transformed(status: int, transforms: list[StatusTransform]) -> ProxyAnswer:
    for transform in transforms:
        if transform.status_code != status:
            continue
        if transform.to_error.code:
            error = transform.to_error
            return ProxyAnswer(error=ProxyError(error.code, error.message, error.temporary))
        if transform.to_disconnect.code:
            return ProxyAnswer(disconnect=ProxyDisconnect(transform.to_disconnect.code, transform.to_disconnect.reason))
    logger.warning("proxy answered with status %s", status)
    return FAILED
