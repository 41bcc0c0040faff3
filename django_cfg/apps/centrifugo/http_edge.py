"""What the HTTP edges of the proxies (worker, Django views) decide alike: who may ask, and bytes to structs."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest, RPCProxyRequest
from django_cfg.errors import MalformedMessageError

__all__ = [
    "ENVELOPE_BYTES",
    "Refusal",
    "answer_publish",
    "answer_rpc",
    "body_limit",
    "check_body",
    "check_request",
]

ENVELOPE_BYTES = 16_384
"""What Centrifugo adds to a client's data: user, client, channel, the token's meta."""

_LONGEST_LENGTH = 15
"""Digits of a Content-Length that are read; as many are far over every limit, and int() refuses thousands of them."""
_Request = TypeVar("_Request", PublishProxyRequest, RPCProxyRequest)


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    reason: str


def body_limit(max_request_bytes: int) -> int:
    return max_request_bytes + ENVELOPE_BYTES


def check_request(
    method: str, given_secret: bytes, secret: str, content_length: str, max_request_bytes: int
) -> Refusal | None:
    """Looks at nothing but the head of the request; the secret is compared in constant time."""
    if method != "POST":
        return Refusal(405, "POST only")
    if not secret or not hmac.compare_digest(given_secret, secret.encode()):
        return Refusal(403, "wrong or missing X-Rpc-Proxy-Key")
    return check_body(_length(content_length), max_request_bytes)


def check_body(size: int, max_request_bytes: int) -> Refusal | None:
    """For the size that the head of a request says, and again for what has been read."""
    limit = body_limit(max_request_bytes)
    return Refusal(413, f"the body may have {limit} bytes") if size > limit else None


async def answer_publish(endpoint: RPCEndpoint, body: bytes) -> bytes:
    """Raises MalformedMessageError for what no Centrifugo sends."""
    return await _answer(body, PublishProxyRequest, endpoint.publish)


async def answer_rpc(endpoint: RPCEndpoint, body: bytes) -> bytes:
    """Raises MalformedMessageError for what no Centrifugo sends."""
    return await _answer(body, RPCProxyRequest, endpoint.rpc)


async def _answer(body: bytes, kind: type[_Request], ask: Callable[[_Request], Awaitable[ProxyAnswer]]) -> bytes:
    try:
        request = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError("this is no proxy request of Centrifugo") from error
    return msgspec.json.encode(await ask(request))


def _length(header: str) -> int:
    """0 for none or nonsense: what is read is counted in any case."""
    if not (header.isascii() and header.isdecimal()):
        return 0
    return int(header[:_LONGEST_LENGTH])
