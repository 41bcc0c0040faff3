from __future__ import annotations

import functools
import importlib.util
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, Field

from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.apps.centrifugo.registry import RPCRegistry, get_global_registry
from django_cfg.errors import RegistrationError
from django_cfg.rpc.router import MessageRouter

HEAD = """
from pydantic import BaseModel, Field
from django_cfg.apps.centrifugo.decorators import websocket_rpc

class Params(BaseModel):
    user_id: str = Field(..., description="User ID")

class Result(BaseModel):
    total: int
"""
GOOD = """
@websocket_rpc("tasks.get_stats")
async def get_task_stats(conn, params: Params) -> Result:
    '''Get task statistics for user.'''
    return Result(total=100)
"""
pytestmark = pytest.mark.usefixtures("router")


class Modules:
    """Writes and imports handler modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []

    def load(self, source: str, name: str = "handlers_under_test", file: str = "handlers_under_test.py") -> ModuleType:
        path = self.folder / file
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        self.names.append(name)
        spec.loader.exec_module(module)
        return module


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Modules]:
    # Written twice within a second, a file must not be taken for its cached byte code.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loaded = Modules(tmp_path)
    yield loaded
    sys.dont_write_bytecode = before
    for name in loaded.names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
async def test_the_documented_use(modules: Modules, router: MessageRouter, future: str) -> None:
    module = modules.load(future + HEAD + GOOD)
    info = router.lookup("tasks.get_stats")
    assert (info.params_model, info.result_model) == (module.Params, module.Result)
    assert info.docstring == "Get task statistics for user."
    assert info.handler is module.get_task_stats
    assert await router.handle_message("tasks.get_stats", {"user_id": "1"}) == {"total": 100}


async def test_the_function_stays_as_it_is(modules: Modules) -> None:
    module = modules.load(HEAD + GOOD)
    result = await module.get_task_stats(conn=None, params=module.Params(user_id="1"))
    assert result.total == 100


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        ("async def f(conn, params): ...", "no type for its parameter 'params'"),
        ("async def f(conn, params: Params): ...", "no type for its result"),
        ("async def f(conn, params: dict) -> Result: ...", "has dict, which is no Pydantic model"),
        ("async def f(conn, params: 'Params | None') -> Result: ...", "which is no Pydantic model"),
        ("async def f(conn, params: Params) -> list[Result]: ...", "which is no Pydantic model"),
        ("def f(conn, params: Params) -> Result: ...", "is not async"),
        ("async def f(conn, params: Params) -> Result: yield Result()", "yields; a handler returns one result"),
        ("async def f(params: Params) -> Result: ...", "two parameters"),
        ("async def f(conn, params: 'Missing') -> Result: ...", "cannot be read"),
    ],
)
def test_mistakes_are_errors_at_import(modules: Modules, handler: str, problem: str) -> None:
    source = HEAD + '\n@websocket_rpc("x.y")\n' + handler
    line = source.splitlines().index('@websocket_rpc("x.y")') + 1
    place = re.escape(f"{modules.folder / 'handlers_under_test.py'}:{line}: x.y: ")
    with pytest.raises(RegistrationError, match=f"^{place}.*{re.escape(problem)}"):
        modules.load(source)


def test_a_decorator_without_a_name_is_an_error_at_import(modules: Modules) -> None:
    with pytest.raises(RegistrationError, match=r"handlers_under_test\.py:\d+: @websocket_rpc needs the method's name"):
        modules.load(HEAD + "\n@websocket_rpc\nasync def f(conn, params: Params) -> Result: ...")


@pytest.mark.parametrize("name", ["", "a b", "a..b", "1x", "x;DROP", "a.b\\n"])
def test_invalid_names_are_errors_at_import(modules: Modules, name: str) -> None:
    with pytest.raises(RegistrationError, match=r"handlers_under_test\.py:\d+: .*is not a method name"):
        modules.load(HEAD + GOOD.replace("tasks.get_stats", name))


def test_a_name_taken_in_another_module(modules: Modules, router: MessageRouter) -> None:
    modules.load(HEAD + GOOD)
    with pytest.raises(RegistrationError) as caught:
        modules.load(HEAD + GOOD, name="second", file="second.py")
    assert re.search(r"second\.py:\d+: .*'tasks.get_stats' is taken by get_task_stats", str(caught.value))
    assert re.search(r"\(.*handlers_under_test\.py:\d+\)", str(caught.value))


async def test_reloading_is_idempotent(modules: Modules, router: MessageRouter) -> None:
    modules.load(HEAD + GOOD)
    modules.load(HEAD + "\n\n" + GOOD.replace("total=100", "total=7"))
    modules.load(HEAD + "\n\n" + GOOD.replace("total=100", "total=8"), name="package.handlers_under_test")
    assert len(router) == 1
    assert await router.handle_message("tasks.get_stats", {"user_id": "1"}) == {"total": 8}


async def test_models_local_to_a_function(router: MessageRouter) -> None:
    class Params(BaseModel):
        n: int = Field(..., description="This file postpones its annotations")

    class Result(BaseModel):
        n: int

    @websocket_rpc("local")
    async def local(conn: Any, params: Params) -> Result:
        return Result(n=params.n + 1)

    assert await router.handle_message("local", {"n": 1}) == {"n": 2}
    assert (await local(conn=None, params=Params(n=1))).n == 2


def test_under_another_decorator(router: MessageRouter) -> None:
    class Params(BaseModel): ...

    def decorator(func: Any) -> Any:
        @functools.wraps(func)
        async def wrapper(conn: Any, params: Any) -> Any:
            return await func(conn, params)

        return wrapper

    @websocket_rpc("wrapped")
    @decorator
    async def handler(conn: Any, params: Params) -> Params:
        return params

    assert router.lookup("wrapped").params_model is Params
    assert router.lookup("wrapped").handler is handler


def test_the_registry_is_a_view_of_the_router(modules: Modules, router: MessageRouter) -> None:
    registry = get_global_registry()
    assert (len(registry), "tasks.get_stats" in registry, registry.all()) == (0, False, [])
    modules.load(HEAD + GOOD)
    assert registry.get("tasks.get_stats") is router.get("tasks.get_stats")
    assert list(registry) == registry.all() == list(router.methods())
    assert "tasks.get_stats" in registry
    assert len(registry) == 1
    assert len(RPCRegistry(MessageRouter())) == 0
