"""Pure: the JSON between Centrifugo and the backend behind its publish and RPC proxies.

See https://centrifugal.dev/docs/server/proxy. The caller is Centrifugo, or the embedded server in its place; the callee
is this project. Payloads stay bytes on the way.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "ProxyAnswer",
    "ProxyDisconnect",
    "ProxyError",
    "ProxyResult",
    "PublishProxyRequest",
    "RPCProxyRequest",
]

_NOTHING = msgspec.Raw()


class _ProxyRequest(msgspec.Struct, omit_defaults=True, frozen=True):
    """`user` and `client` are the authenticated connection's; `meta` is its token's."""

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""


class PublishProxyRequest(_ProxyRequest, omit_defaults=True, frozen=True):
    """A client wants to publish `data` to `channel`."""

    channel: str = ""
    data: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING


class RPCProxyRequest(_ProxyRequest, omit_defaults=True, frozen=True):
    """A client calls `method` natively."""

    method: str = ""
    data: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING


class ProxyError(msgspec.Struct, omit_defaults=True, frozen=True):
    """`code` is 400 to 1999; `message` must not be empty, or the Python SDK fails on it."""

    code: int = 0
    message: str = ""
    temporary: bool = False


class ProxyDisconnect(msgspec.Struct, omit_defaults=True, frozen=True):
    """`code` 4000 to 4499: the client reconnects; 4500 to 4999: it does not. `reason` is at most 32 bytes."""

    code: int
    reason: str = ""


class ProxyResult(msgspec.Struct, omit_defaults=True, frozen=True):
    """`data`, or the same as `b64data`, replaces what is published; for an RPC it is the result.

    `version` above 0 makes the server drop what is not newer than the last one.
    """

    data: msgspec.Raw = _NOTHING
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


class ProxyAnswer(msgspec.Struct, omit_defaults=True, frozen=True):
    """Exactly one of the three."""

    result: ProxyResult | None = None
    error: ProxyError | None = None
    disconnect: ProxyDisconnect | None = None
