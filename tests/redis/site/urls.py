"""Synchronous views that call, as a project's own would; over HTTP, so that tests reach any process of the site."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc import get_rpc_client


@csrf_exempt
def call(request: HttpRequest, method: str) -> JsonResponse:
    try:
        return JsonResponse({"ok": get_rpc_client().call(method, json.loads(request.body), timeout=10)})
    except RPCError as error:
        return JsonResponse({"error": {"code": error.code, "message": str(error)}})


@csrf_exempt
def publish(request: HttpRequest, channel: str) -> JsonResponse:
    message: dict[str, Any] = json.loads(request.body)
    return JsonResponse({"ok": get_rpc_client().broadcast(channel, message)})


urlpatterns = [path("call/<str:method>", call), path("publish/<str:channel>", publish)]
