from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, RootModel

from django_cfg.errors import RegistrationError
from django_cfg.rpc import signature
from django_cfg.rpc.tests.models import AddParams, AddResult, add

if TYPE_CHECKING:
    from somewhere import Unseen  # type: ignore[import-not-found]


@pytest.mark.parametrize(
    "name", ["tasks.get_stats", "ping", "a.b.c", "_private", "todo-items.list", "A1", "x" * 128, "data.stream_2.next"]
)
def test_names_that_every_client_can_carry(name: str) -> None:
    signature.check_method_name(name, add)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "1a",
        "a.1",
        "a b",
        "a\n",
        "tasks:get",
        "a/b",
        "ä",
        "x" * 129,
        "a\x00",
        None,
        7,
        "a'b",
    ],
)
def test_other_names_are_refused_with_the_place(name: object) -> None:
    with pytest.raises(RegistrationError, match=r"models\.py:\d+: .*is not a method name.*tasks\.get_stats"):
        signature.check_method_name(name, add)


async def one_parameter(conn: Any) -> None: ...


async def three_parameters(conn: Any, params: Any, more: Any) -> None: ...


async def keyword_only(conn: Any, params: Any, *, more: Any) -> None: ...


def not_async(conn: Any, params: Any) -> None: ...


async def no_hints(conn, params):  # type: ignore[no-untyped-def]
    ...


async def wrong_params(conn: Any, params: dict[str, int]) -> AddResult: ...  # type: ignore[empty-body]


async def wrong_result(conn: Any, params: AddParams) -> None: ...


async def base_model(conn: Any, params: BaseModel) -> AddResult: ...  # type: ignore[empty-body]


async def unseen(conn: Any, params: Unseen) -> AddResult: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("func", "problem"),
    [(one_parameter, "two parameters"), (three_parameters, "two parameters"), (keyword_only, "two parameters")],
)
def test_a_wrong_shape_says_how_to_write_it(func: Callable[..., Any], problem: str) -> None:
    with pytest.raises(RegistrationError, match=rf"test_signature\.py:\d+: x: .*{problem}.*async def {func.__name__}"):
        signature.check_async("x", func)


def test_a_synchronous_function_is_refused() -> None:
    with pytest.raises(RegistrationError, match=r"test_signature\.py:\d+: x: the handler not_async is not async"):
        signature.check_async("x", not_async)


UNFIT: list[tuple[Any, str]] = [
    (no_hints, "no type for its parameter 'params'"),
    (wrong_params, "has dict, which is no Pydantic model, as its parameter 'params'"),
    (wrong_result, "has NoneType, which is no Pydantic model, as its result"),
    (base_model, "has BaseModel, which is no Pydantic model"),
    (unseen, "cannot be read .*Import the models at run time"),
]


@pytest.mark.parametrize(("func", "problem"), UNFIT)
def test_annotations_that_drive_no_generation_are_refused_when_strict(func: Callable[..., Any], problem: str) -> None:
    with pytest.raises(RegistrationError, match=rf"test_signature\.py:\d+: x: .*{problem}"):
        signature.read_types("x", func, strict=True)
    lenient = signature.read_types("x", func, strict=False)
    assert None in (lenient.params, lenient.result)


def test_types_are_read() -> None:
    assert signature.read_types("x", add, strict=True) == signature.MethodTypes(AddParams, AddResult)


def test_local_models_are_found_with_their_names() -> None:
    class Local(RootModel[list[int]]):
        pass

    async def handler(conn: Any, params: Local) -> Local:
        return params

    assert signature.read_types("x", handler, locals(), strict=True) == signature.MethodTypes(Local, Local)


def test_decorated_handlers_count_as_what_they_wrap() -> None:
    @functools.wraps(add)
    def plain_wrapper(conn: Any, params: Any) -> Awaitable[Any]:
        return add(conn, params)

    @functools.wraps(not_async)
    async def async_wrapper(conn: Any, params: Any) -> None:
        not_async(conn, params)

    signature.check_async("x", plain_wrapper)
    signature.check_async("x", async_wrapper)
    assert signature.read_types("x", plain_wrapper, strict=True).result is AddResult
    assert signature.origin(plain_wrapper) == signature.origin(add)


def test_a_callable_without_code_is_described_too() -> None:
    partial = functools.partial(add)
    assert signature.location(partial) == "unknown location"
    with pytest.raises(RegistrationError, match="unknown location: x:"):
        signature.read_types("x", partial, strict=True)
