from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from django_cfg.errors import InvalidParamsError, MethodNotFoundError, RegistrationError, RPCError
from django_cfg.rpc.method import Transport
from django_cfg.rpc.permissions import AllowAny, IsAuthenticated
from django_cfg.rpc.router import MessageRouter, get_global_router
from django_cfg.rpc.tests.models import AddParams, AddResult, add

SOURCE = """
async def handler(conn, params):
    return {"version": %d}
"""


@pytest.fixture
def module_path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "some_handlers.py"
    path.write_text(SOURCE % 1)
    yield path
    for name in ("some_handlers", "other_name"):
        sys.modules.pop(name, None)


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_record_holds_what_the_function_says() -> None:
    info = MessageRouter().register_handler("math.add", add, strict=True)
    assert (info.name, info.params_model, info.result_model) == ("math.add", AddParams, AddResult)
    assert info.docstring == "Add two numbers."
    assert info.source.endswith(f"models.py:{add.__code__.co_firstlineno}")
    assert info.transports == frozenset(Transport)
    assert (info.idempotent, info.permissions, info.errors) == (False, None, ())


async def test_untyped_handlers_of_a_custom_router() -> None:
    router = MessageRouter()

    @router.register("custom.method")
    async def custom(conn, params):  # type: ignore[no-untyped-def]  # pyright: ignore
        return {"got": params}  # pyright: ignore[reportUnknownVariableType]

    assert await router.handle_message("custom.method", {"a": [1]}) == {"got": {"a": [1]}}
    assert await custom(None, 1) == {"got": 1}  # type: ignore[no-untyped-call]
    info = router.lookup("custom.method")
    assert (info.params_model, info.result_model) == (None, None)


def test_a_name_taken_by_another_function() -> None:
    router = MessageRouter()
    router.register_handler("math.add", add)

    async def other(conn: Any, params: Any) -> None: ...

    with pytest.raises(
        RegistrationError, match=r"test_router\.py:\d+: .*'math.add' is taken by add \(.*models\.py:\d+"
    ):
        router.register_handler("math.add", other)
    assert router.lookup("math.add").handler is add


def test_a_reloaded_module_replaces_its_handlers(module_path: Path) -> None:
    router = MessageRouter()
    module = load(module_path, "some_handlers")
    router.register_handler("x", module.handler)
    module_path.write_text("\n\n" + SOURCE % 2)
    load(module_path, "some_handlers")
    router.register_handler("x", sys.modules["some_handlers"].handler)
    assert asyncio.run(router.handle_message("x", {})) == {"version": 2}


async def test_the_same_file_under_another_module_name_is_the_same_function(module_path: Path) -> None:
    router = MessageRouter()
    router.register_handler("x", load(module_path, "some_handlers").handler)
    router.register_handler("x", load(module_path, "other_name").handler)
    assert len(router) == 1


def one_argument(conn: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"permissions": IsAuthenticated}, "permissions must be a list"),
        ({"permissions": ["shop.IsOwner"]}, "'shop.IsOwner' is neither a class nor a function"),
        ({"permissions": [bool]}, "must take two parameters|is neither a class nor a function"),
        ({"permissions": [one_argument]}, "must take two parameters"),
        ({"errors": [ValueError]}, "subclasses of django_cfg.errors.RPCError"),
        ({"errors": [type("Nameless", (RPCError,), {})]}, "Nameless needs a code of its own"),
        ({"transports": "redis"}, "transports must be a list"),
        ({"transports": ["pigeon"]}, "'pigeon' is not a valid Transport; known transports are 'centrifugo', 'redis'"),
    ],
)
def test_wrong_options_name_the_place(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(RegistrationError, match=rf"models\.py:\d+: x: .*{problem}"):
        MessageRouter().register_handler("x", add, **options)


def test_options_are_kept() -> None:
    class Locked(RPCError):
        code = "locked"

    async def check(conn: Any, method: Any) -> bool:
        return True

    info = MessageRouter().register_handler(
        "x", add, permissions=[AllowAny, check], errors=[Locked], transports=["redis"], idempotent=True
    )
    assert info.permissions is not None
    assert isinstance(info.permissions[0], AllowAny)
    assert info.permissions[1] is check
    assert (info.errors, info.transports, info.idempotent) == ((Locked,), frozenset({Transport.REDIS}), True)


async def test_handle_message_validates_both_ways() -> None:
    router = MessageRouter()
    router.register_handler("math.add", add)
    assert await router.handle_message("math.add", {"a": "1", "b": 2}) == {"total": 3}
    assert await router.handle_message("math.add", AddParams(a=1)) == {"total": 1}
    with pytest.raises(InvalidParamsError):
        await router.handle_message("math.add", {})
    with pytest.raises(MethodNotFoundError, match=r"unknown method 'math\.sub'"):
        await router.handle_message("math.sub", {})


def test_a_strange_name_cannot_break_a_log_line() -> None:
    with pytest.raises(MethodNotFoundError) as caught:
        MessageRouter().lookup("a\r\nINFO forged \x1b[31m‮" + "x" * 1000)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


def test_methods_are_listed_in_order_and_can_be_cleared() -> None:
    router = MessageRouter()
    router.register_handler("b", add)
    router.register_handler("a", add)
    assert [info.name for info in router.methods()] == ["b", "a"]
    assert "a" in router
    router.clear()
    assert len(router) == 0


def test_there_is_one_global_router() -> None:
    assert get_global_router() is get_global_router()
