"""The HTTP edge inside Django: both proxies, for sites without a worker of their own, and the token view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST

from django_cfg.apps.centrifugo import http_edge, publish
from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.refusals import log_refusal
from django_cfg.apps.centrifugo.server_config import PROXY_SECRET_HEADER
from django_cfg.apps.centrifugo.tokens import create_connection_token
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.runner import CallRunner

__all__ = ["connection_token", "publish_proxy", "rpc_proxy"]

_runners: dict[asyncio.AbstractEventLoop, CallRunner] = {}
"""Of loops that go on after a request."""


@csrf_exempt
async def publish_proxy(request: HttpRequest) -> HttpResponse:
    """Centrifugo's publish proxy. Under ASGI the call is answered at once; under WSGI after it has run."""
    return await _proxied(request, http_edge.answer_publish)


@csrf_exempt
async def rpc_proxy(request: HttpRequest) -> HttpResponse:
    """Centrifugo's RPC proxy."""
    return await _proxied(request, http_edge.answer_rpc)


@never_cache
@require_POST
@csrf_protect
def connection_token(request: HttpRequest) -> JsonResponse:
    """A short-lived connection token for the user who is logged in.

    401 when nobody is, 403 for an id that cannot have a channel.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return JsonResponse({"error": "log in first"}, status=401)
    try:
        token = create_connection_token(user.pk)
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=403)
    return JsonResponse({"token": token, "user_id": str(user.pk), "expires_in": get_config().token_ttl_seconds})


async def _proxied(request: HttpRequest, answer: Callable[[RPCEndpoint, bytes], Awaitable[bytes]]) -> HttpResponse:
    config = get_config()
    refusal = http_edge.check_request(
        request.method or "",
        request.headers.get(PROXY_SECRET_HEADER, "").encode("latin-1", "replace"),
        config.proxy_secret,
        request.headers.get("Content-Length", ""),
        config.max_request_bytes,
    )
    if refusal is not None:
        return _refused(refusal)
    body = request.read(http_edge.body_limit(config.max_request_bytes) + 1)
    if (refusal := http_edge.check_body(len(body), config.max_request_bytes)) is not None:
        return _refused(refusal)
    try:
        return HttpResponse(await answer(_endpoint(request, config), body), content_type="application/json")
    except MalformedMessageError as error:
        return _refused(http_edge.Refusal(400, error.message))


def _refused(refusal: http_edge.Refusal) -> HttpResponse:
    log_refusal(refusal)
    return HttpResponse(refusal.reason, status=refusal.status, content_type="text/plain")


def _endpoint(request: HttpRequest, config: CentrifugoConfig) -> RPCEndpoint:
    """Under WSGI the event loop ends with the request, so nothing may outlive it."""
    if isinstance(request, ASGIRequest):
        return RPCEndpoint(_shared_runner(config), config, publish.deliver, answer_first=True)
    return RPCEndpoint(_new_runner(config), config, publish.deliver, answer_first=False)


def _shared_runner(config: CentrifugoConfig) -> CallRunner:
    loop = asyncio.get_running_loop()
    if loop not in _runners:
        for ended in [loop for loop in _runners if loop.is_closed()]:
            del _runners[ended]
        _runners[loop] = _new_runner(config)
    return _runners[loop]


def _new_runner(config: CentrifugoConfig) -> CallRunner:
    return build_runner(config, _lanes(config.database_lanes), claims=_claims())


@cache
def _lanes(count: int) -> Lanes:
    return Lanes(count)


@cache
def _claims() -> MemoryClaims:
    """One store for every event loop of the process: a repeated call may arrive in another one."""
    return MemoryClaims()
