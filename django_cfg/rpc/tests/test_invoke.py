from __future__ import annotations

from typing import Any

import pytest

from django_cfg.errors import PermissionDeniedError, UnauthorizedError
from django_cfg.rpc.connection import Connection
from django_cfg.rpc.invoke import check_permissions
from django_cfg.rpc.method import Handler, RPCMethodInfo
from django_cfg.rpc.permissions import AllowAny, IsAuthenticated, IsService
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.models import AddParams, AddResult, add

USER = Connection(user_id="42")
NOBODY = Connection(user_id=None)
SERVICE = Connection(user_id=None, is_service=True)


def method(**options: Any) -> RPCMethodInfo:
    return MessageRouter().register_handler("math.add", add, **options)


async def test_the_first_middleware_is_the_outermost() -> None:
    seen: list[str] = []

    def layer(name: str) -> Any:
        async def middleware(conn: Any, params: AddParams, call_next: Handler) -> Any:
            seen.append(f"{name} in {params.a}")
            result = await call_next(conn, AddParams(a=params.a + 1))
            seen.append(f"{name} out {result.total}")
            return AddResult(total=result.total * 10)

        return middleware

    router = MessageRouter(middleware=[layer("outer"), layer("inner")])
    router.register_handler("math.add", add)
    assert await router.handle_message("math.add", {"a": 1}) == {"total": 300}
    assert seen == ["outer in 1", "inner in 2", "inner out 3", "outer out 30"]


@pytest.mark.parametrize("conn", [USER, SERVICE])
async def test_known_callers_pass_by_default(conn: Connection) -> None:
    await check_permissions(method(), conn, [IsAuthenticated()])


async def test_nobody_is_unauthorized_and_somebody_denied() -> None:
    with pytest.raises(UnauthorizedError, match="log in to call math"):
        await check_permissions(method(), NOBODY, [IsAuthenticated()])
    with pytest.raises(PermissionDeniedError, match="you may not call math"):
        await check_permissions(method(permissions=[IsService]), USER, [])


@pytest.mark.parametrize("allowed", [True, False])
async def test_permissions_of_every_form(allowed: bool) -> None:
    seen: list[tuple[Any, str]] = []

    def plain(conn: Any, info: RPCMethodInfo) -> bool:
        seen.append((conn, info.name))
        return allowed

    async def waiting(conn: Any, info: RPCMethodInfo) -> bool:
        return plain(conn, info)

    class Class:
        def __call__(self, conn: Any, info: RPCMethodInfo) -> bool:
            return plain(conn, info)

    for permission in (plain, waiting, Class, Class()):
        seen.clear()
        if allowed:
            await check_permissions(method(permissions=[permission]), USER, [])
        else:
            with pytest.raises(PermissionDeniedError):
                await check_permissions(method(permissions=[permission]), USER, [])
        assert seen == [(USER, "math.add")]


async def test_a_methods_own_permissions_replace_the_default() -> None:
    await check_permissions(method(permissions=[AllowAny]), NOBODY, [IsAuthenticated()])
    with pytest.raises(PermissionDeniedError):
        await check_permissions(method(permissions=[AllowAny, IsService]), USER, [])


def test_remaining_time() -> None:
    assert USER.remaining_seconds is None
    assert Connection(user_id="1", deadline=0.0).remaining_seconds == 0.0
