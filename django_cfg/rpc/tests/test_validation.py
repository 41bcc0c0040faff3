from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from pydantic_core import to_json

from django_cfg.errors import InvalidParamsError, MalformedMessageError
from django_cfg.rpc.method import RPCMethodInfo
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.models import AddParams, AddResult, add
from django_cfg.rpc.validation import check_json, dump_json, dump_result, read_params, read_params_json

CANARY = "canary-7d1f"
NO_NUMBER: Any = "x"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Picky(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 0
    choice: Literal["a", "b"] = "a"
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    text: str = Field(default="", max_length=3, pattern="^[a-z]*$")
    listed: list[int] = []


class Aliased(BaseModel):
    user_id: str = Field(alias="userId")


class Account(BaseModel):
    name: str


class PrivateAccount(Account):
    password: str = CANARY


class Accounts(BaseModel):
    owner: Account
    others: list[Account] = []


def method(params: type[BaseModel] | None = None, result: type[BaseModel] | None = None) -> RPCMethodInfo:
    return RPCMethodInfo("m", add, params_model=params, result_model=result)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"a":[1,2.5,-1e10,true,null,"x"]}',
        b'"\\ud83d\\ude00"',
        b"[" * 64 + b"]" * 64,
        b'["' + b"[{" * 1000 + b'"]',
        b'["\\"' + b"[" * 1000 + b'"]',
        b"[" + b",".join([b"{}"] * 1000) + b"]",
    ],
)
def test_ordinary_json_passes(raw: bytes) -> None:
    check_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b"1e999",
        b"-1e999",
        b"9" * 5000,
        b'"\xff"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'["' + b'\\"[' * 100_000,
    ],
)
def test_what_is_refused_is_refused_without_echo(raw: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        check_json(raw)
    assert len(caught.value.message) < 100


def test_params_in_json() -> None:
    assert read_params_json(method(AddParams), b'{"a":1}') == AddParams(a=1)
    assert read_params_json(method(), b'{"a":[1]}') == {"a": [1]}
    assert read_params_json(method(RootModel[list[int]]), b"[1]").root == [1]


def test_params_inside_the_process() -> None:
    given = AddParams(a=1)
    assert read_params(method(AddParams), given) is given
    assert read_params(method(Picky), None) == Picky()
    assert read_params(method(), None) is None
    with pytest.raises(InvalidParamsError):
        read_params(method(AddParams), None)


def test_a_model_of_the_same_shape_is_read_again() -> None:
    class Same(BaseModel):
        user_id: str = Field(alias="userId")

    assert read_params(method(Aliased), Same(userId="7")).user_id == "7"


@pytest.mark.parametrize(
    "params",
    [
        {"number": CANARY},
        {"choice": CANARY},
        {"pet": {"kind": CANARY}},
        {"text": CANARY},
        {"listed": [CANARY, CANARY]},
        {"listed": CANARY},
        {"pet": CANARY},
        CANARY,
        [CANARY],
    ],
)
def test_errors_name_the_place_and_never_the_value(params: Any) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        read_params_json(method(Picky), to_json(params))
    shown = f"{caught.value.message} {caught.value.details}"
    assert CANARY not in shown
    assert "http" not in shown
    assert caught.value.message.startswith("invalid params for m: ")
    assert caught.value.details is not None
    assert set(caught.value.details["errors"][0]) == {"loc", "msg", "type"}


def test_many_and_long_errors_stay_small() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        read_params_json(method(Picky), to_json({f"{i}" + "x" * 10_000: 1 for i in range(500)}))
    assert caught.value.message.endswith("(and 499 more)")
    assert len(to_json(caught.value.details)) < 5_000


def test_a_projects_validator_speaks_for_itself() -> None:
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("n must be even")
            return n

    with pytest.raises(InvalidParamsError, match="invalid params for m: n: Value error, n must be even"):
        read_params_json(method(Even), b'{"n":1}')


def test_aliases_both_ways() -> None:
    assert read_params_json(method(Aliased), b'{"userId":"7"}').user_id == "7"
    assert dump_result(method(result=Aliased), Aliased(userId="7")) == b'{"userId":"7"}'


def test_dict_results_are_validated() -> None:
    assert dump_result(method(result=AddResult), {"total": "3"}) == b'{"total":3}'
    assert dump_result(method(), {"total": [1]}) == b'{"total":[1]}'


@pytest.mark.parametrize(
    "value", [None, {}, {"total": "x"}, 5, AddParams(a=1), AddResult.model_construct(total=NO_NUMBER)]
)
def test_a_result_that_does_not_fit(value: Any) -> None:
    with pytest.raises(MalformedMessageError, match=re.escape("the result of m does not fit its model")):
        dump_result(method(result=AddResult), value)


def test_a_subclass_leaks_nothing() -> None:
    private = PrivateAccount(name="n")
    assert dump_result(method(result=Account), private) == b'{"name":"n"}'
    nested = dump_result(method(result=Accounts), Accounts(owner=private, others=[private]))
    assert CANARY.encode() not in nested


class Measured(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")

    value: float
    note: str = ""


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_nan_never_leaves_as_broken_json(number: float) -> None:
    with pytest.raises(MalformedMessageError):
        dump_result(method(result=Measured), Measured(value=number))
    with pytest.raises(MalformedMessageError):
        dump_json({"value": number})


def test_the_words_nan_and_infinity_are_fine_in_text() -> None:
    assert dump_result(method(result=Measured), Measured(value=1, note="NaN")) == b'{"value":1.0,"note":"NaN"}'
    assert dump_json("Infinity") == b'"Infinity"'


@pytest.mark.parametrize("value", [object(), "\ud800", {"a": {1, object()}}])
def test_what_json_cannot_carry(value: Any) -> None:
    with pytest.raises(MalformedMessageError):
        dump_json(value)


async def test_the_trusted_entry_returns_plain_data() -> None:
    router = MessageRouter()

    @router.register("x")
    async def handler(conn: Any, params: Any) -> Accounts:
        return Accounts(owner=PrivateAccount(name="n"))

    assert await router.handle_message("x", {}) == {"owner": {"name": "n"}, "others": []}
    assert handler is router.lookup("x").handler
