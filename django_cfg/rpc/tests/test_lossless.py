from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_serializer

from django_cfg.errors import MalformedMessageError
from django_cfg.rpc import lossless
from django_cfg.rpc.method import RPCMethodInfo
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.validation import dump_json, dump_result

NUMBERS = [math.nan, math.inf, -math.inf]


class Measured(BaseModel):
    value: float | None = None
    more: dict[str, Any] = {}


class Series(BaseModel):
    name: str
    measured: list[Measured]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    note: str | None = None


class MoreMeasured(Measured):
    private: str = "x"


class MeantNull(Measured):
    model_config = ConfigDict(ser_json_inf_nan="null")


class OwnText(Measured):
    @field_serializer("value")
    def _text(self, value: float | None) -> str | None:
        return None if value is None or math.isnan(value) else str(value)


class Worded(BaseModel):
    """Its fields have the names of what pydantic keeps beside them."""

    type: str
    metadata: float = 0.0
    serialization: str | None = None
    default: str | None = None
    extra_fields_behavior: str | None = None


class Plain(BaseModel):
    count: int
    at: datetime
    note: str | None


GIVEN: list[Callable[[float], Any]] = [
    lambda number: Measured(value=number),
    lambda number: Measured(more={"deep": [{"in": number}]}),
    lambda number: Series(name="a", measured=[Measured(), Measured(value=number)]),
    lambda number: Open.model_validate({"other": number}),
    lambda number: {"event": "e", "data": [Measured(value=number)]},
    lambda number: Worded(type="click", metadata=number),
    lambda number: [Worded(type="null and void", metadata=number)],
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("given", GIVEN)
def test_no_number_silently_becomes_null(given: Callable[[float], Any], number: float) -> None:
    with pytest.raises(MalformedMessageError, match="NaN and infinite numbers cannot be written"):
        dump_json(given(number))
    dump_json(given(1.5))


def test_how_deep_it_lies_does_not_matter() -> None:
    nested: list[Any] = [math.nan]
    for _ in range(220):
        nested = [nested]
    with pytest.raises(MalformedMessageError, match="NaN"):
        dump_json(Measured(more={"deep": nested}))


@pytest.mark.parametrize("kind", [Measured, MoreMeasured])
def test_nor_does_one_in_a_result(kind: type[Measured]) -> None:
    method = RPCMethodInfo("m", add, result_model=Measured)
    with pytest.raises(MalformedMessageError, match="the result of m does not fit its model"):
        dump_result(method, kind(value=math.nan))
    assert dump_result(method, kind()) == b'{"value":null,"more":{}}'


@pytest.mark.parametrize("given", [MeantNull(value=math.nan), OwnText(value=math.nan)])
def test_who_means_null_gets_null(given: BaseModel) -> None:
    assert dump_json(given) == b'{"value":null,"more":{}}'


def test_models_without_floats_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("it was looked through")

    monkeypatch.setattr(lossless, "_has_lost_number", never)
    assert b"null" in dump_json(Plain(count=1, at=datetime(2026, 1, 1), note=None))
    dump_json({"a": None})
    with pytest.raises(AssertionError):
        dump_json(Measured())
