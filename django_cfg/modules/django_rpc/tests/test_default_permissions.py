from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_cfg.errors import RPCErrorCode, RPCRemoteError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.tests.routers import router as router

NOBODY = f"{__name__}.Nobody"


class Nobody:
    def __call__(self, conn: Any, method: Any) -> bool:
        return False


@pytest.fixture
def client() -> Iterator[WebSocketRPCClient]:
    made = WebSocketRPCClient(WebSocketRPCConfig(enabled=True, redis_url="memory://"))
    yield made
    made.close()


@override_settings(CENTRIFUGO={"default_permissions": [NOBODY]})
def test_the_projects_default_permissions_count_over_redis_too(
    client: WebSocketRPCClient, router: MessageRouter
) -> None:
    router.register_handler("numbers.add", add)
    with pytest.raises(RPCRemoteError) as raised:
        client.call("numbers.add", {"a": 1, "b": 2})
    assert raised.value.error.code == RPCErrorCode.PERMISSION_DENIED
