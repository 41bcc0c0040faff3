"""The HTTP edge inside Django: both proxies, for sites without a worker of their own, and the token view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_cfg.apps.centrifugo import http_edge, publish
from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.endpoint import RPCEndpoint
from django_cfg.apps.centrifugo.server_config import PROXY_SECRET_HEADER
from django_cfg.apps.centrifugo.tokens import create_connection_token
from django_cfg.apps.centrifugo.wiring import build_runner
from django_cfg.errors import MalformedMessageError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.runner import CallRunner

__all__ = ["connection_token", "publish_proxy", "rpc_proxy"]

_runners: WeakKeyDictionary[asyncio.AbstractEventLoop, CallRunner] = WeakKeyDictionary()


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
def connection_token(request: HttpRequest) -> JsonResponse:
    """A short-lived connection token for the user who is logged in; 401 for nobody, 403 for an id that cannot have a channel."""
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
    limit = http_edge.body_limit(config.max_request_bytes)
    refusal = http_edge.check_request(
        request.method or "", request.headers.get(PROXY_SECRET_HEADER, ""), config.proxy_secret, _length(request), limit
    )
    if refusal is not None:
        return HttpResponse(refusal.reason, status=refusal.status, content_type="text/plain")
    try:
        body = await answer(_endpoint(request, config), request.body)
    except MalformedMessageError as error:
        return HttpResponse(error.message, status=400, content_type="text/plain")
    return HttpResponse(body, content_type="application/json")


def _length(request: HttpRequest) -> int | None:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _endpoint(request: HttpRequest, config: CentrifugoConfig) -> RPCEndpoint:
    """Under WSGI the event loop ends with the request, so nothing may outlive it."""
    loop = asyncio.get_running_loop()
    runner = _runners.get(loop)
    if runner is None:
        runner = _runners[loop] = build_runner(config, _lanes(config))
    return RPCEndpoint(runner, config, publish.deliver, answer_first=isinstance(request, ASGIRequest))


_shared_lanes: list[Lanes] = []


def _lanes(config: CentrifugoConfig) -> Lanes:
    if not _shared_lanes:
        _shared_lanes.append(Lanes(config.database_lanes))
    return _shared_lanes[0]
