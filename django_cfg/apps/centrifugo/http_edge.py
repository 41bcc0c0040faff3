"""Pure: what the HTTP edges of the proxies (worker and Django views) decide alike: who may ask, and bytes to structs and back."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest, RPCProxyRequest
from django_cfg.errors import MalformedMessageError

__all__ = ["ENVELOPE_BYTES", "Refusal", "answer_publish", "answer_rpc", "body_limit", "check_request"]

ENVELOPE_BYTES = 16_384
"""What Centrifugo adds to a client's data: user, client, channel, the token's meta."""


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    reason: str


def body_limit(max_request_bytes: int) -> int:
    return max_request_bytes + ENVELOPE_BYTES


def check_request(
    method: str, given_secret: str, secret: str, content_length: int | None, limit: int
) -> Refusal | None:
    """Looks at nothing but the head of the request; the secret is compared in constant time."""
    if method != "POST":
        return Refusal(405, "POST only")
    if not secret or not hmac.compare_digest(given_secret.encode(errors="replace"), secret.encode()):
        return Refusal(403, "wrong or missing X-Rpc-Proxy-Key")
    if content_length is not None and content_length > limit:
        return Refusal(413, f"the body may have {limit} bytes")
    return None


async def answer_publish(endpoint: RPCEndpoint, body: bytes) -> bytes:
    """Raises MalformedMessageError for what no Centrifugo sends."""
    return await _answer(body, PublishProxyRequest, endpoint.publish)


async def answer_rpc(endpoint: RPCEndpoint, body: bytes) -> bytes:
    """Raises MalformedMessageError for what no Centrifugo sends."""
    return await _answer(body, RPCProxyRequest, endpoint.rpc)


async def _answer(body: bytes, kind: type, ask: Callable[..., Awaitable[ProxyAnswer]]) -> bytes:
    try:
        request = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedMessageError("this is no proxy request of Centrifugo") from error
    return msgspec.json.encode(await ask(request))
