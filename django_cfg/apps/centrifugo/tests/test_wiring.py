from __future__ import annotations

from typing import Any

import pytest

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.wiring import build_runner, install_middleware
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.tests.running import make_call


async def outer(conn: Any, params: Any, call_next: Any) -> Any:
    return ["outer", await call_next(conn, params)]


async def inner(conn: Any, params: Any, call_next: Any) -> Any:
    return ["inner", await call_next(conn, params)]


async def added(conn: Any, params: Any, call_next: Any) -> Any:
    return ["added", await call_next(conn, params)]


async def test_middleware_of_the_settings_is_around_what_code_has_added(router: MessageRouter) -> None:
    @router.register("x")
    async def handler(conn: Any, params: Any) -> str:
        return "handler"

    router.middleware.append(added)
    config = CentrifugoConfig(middleware=[f"{__name__}.outer", f"{__name__}.inner"])
    install_middleware(config)
    install_middleware(config)
    assert await router.handle_message("x", {}) == ["outer", ["inner", ["added", "handler"]]]
    assert handler is router.lookup("x").handler


def test_middleware_that_cannot_be_imported(router: MessageRouter) -> None:
    with pytest.raises(ConfigurationError, match=r"settings\.CENTRIFUGO\['middleware'\].*nowhere"):
        install_middleware(CentrifugoConfig(middleware=["nowhere.middleware"]))
    assert router.middleware == []


async def test_the_runner_follows_the_settings(router: MessageRouter) -> None:
    router.register_handler("add", add)
    config = CentrifugoConfig(
        max_concurrent_calls=1, default_permissions=["django_cfg.rpc.permissions.IsService"], database_lanes=1
    )
    reply = await build_runner(config, Lanes(1)).run(make_call("add", b'{"a":1}'))
    assert reply.error is not None
    assert reply.error.code == "permission_denied"


async def test_an_empty_router_is_not_the_global_one(router: MessageRouter) -> None:
    router.register_handler("add", add)
    reply = await build_runner(CentrifugoConfig(), Lanes(1), MessageRouter()).run(make_call("add", b'{"a":1}'))
    assert reply.error is not None
    assert reply.error.code == "method_not_found"
