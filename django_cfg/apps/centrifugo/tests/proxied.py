"""What Centrifugo sends to the proxies, and an endpoint that answers it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.identity import REQUEST_CHANNEL
from django_cfg.apps.centrifugo.proxy_wire import PublishProxyRequest, RPCProxyRequest
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner, Limits
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.tests.running import BOUND_SECONDS

SECRET = "proxy-secret-of-more-than-thirty-two-bytes"
HEAD = {"client": "client-1", "transport": "websocket", "protocol": "json", "encoding": "json"}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(value if isinstance(value, bytes) else json.dumps(value).encode())


def envelope(**changes: Any) -> dict[str, Any]:
    values = {
        "method": "add",
        "params": {"a": 1, "b": 2},
        "correlation_id": "c1",
        "reply_to": "user#42",
        "timeout_ms": 5000,
    }
    return {key: value for key, value in (values | changes).items() if value is not ...}


def publication(
    data: Any = ..., *, user: str = "42", channel: str = REQUEST_CHANNEL, **changes: Any
) -> PublishProxyRequest:
    payload = envelope() if data is ... else data
    return PublishProxyRequest(user=user, channel=channel, client="client-1", data=raw(payload), **changes)


def native(method: str = "add", data: Any = ..., *, user: str = "42", **changes: Any) -> RPCProxyRequest:
    payload = {"a": 1, "b": 2} if data is ... else data
    return RPCProxyRequest(user=user, method=method, client="client-1", data=raw(payload), **changes)


def publish_body(data: Any = ..., **changes: Any) -> bytes:
    return msgspec.json.encode(publication(data, **changes))


class Backend:
    """An endpoint over one router, and everything that it delivers."""

    def __init__(self, config: CentrifugoConfig | None = None, limits: Limits | None = None) -> None:
        self.router = MessageRouter()
        self.router.register_handler("add", add)
        self.runner = CallRunner(self.router, lanes=Lanes(), claims=MemoryClaims(), limits=limits)
        self.delivered: list[tuple[str, dict[str, Any]]] = []
        self.endpoint = RPCEndpoint(self.runner, config or CentrifugoConfig(), self.deliver)

    async def deliver(self, channel: str, data: bytes) -> None:
        self.delivered.append((channel, json.loads(data)))

    async def publish(self, request: PublishProxyRequest) -> dict[str, Any]:
        """The proxy's answer, once the call has run."""
        answer = await self.endpoint.publish(request)
        await self.runner_idle()
        decoded: dict[str, Any] = msgspec.to_builtins(answer)
        return decoded

    async def rpc(self, request: RPCProxyRequest) -> dict[str, Any]:
        encoded = msgspec.json.encode(await self.endpoint.rpc(request))
        decoded: dict[str, Any] = json.loads(encoded)
        return decoded

    async def runner_idle(self) -> None:
        while tasks := set(self.runner._tasks):  # pyright: ignore[reportPrivateUsage]
            await asyncio.wait(tasks, timeout=BOUND_SECONDS)
