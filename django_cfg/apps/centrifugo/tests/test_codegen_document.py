"""Schema and document: what is kept beside pydantic's own JSON Schema, and what types are called."""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, create_model

from django_cfg.apps.centrifugo.codegen.document import build, references
from django_cfg.rpc.method import RPCMethodInfo

T = TypeVar("T")


async def _handler(conn: object, params: object) -> None: ...


def method(name: str, params: type[BaseModel] | None, result: type[BaseModel] | None = None) -> RPCMethodInfo:
    return RPCMethodInfo(name, _handler, params, result)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Inner(BaseModel):
    level: Level = Level.LOW
    by_level: dict[int, str] = Field(default_factory=dict[int, str])


class Outer(BaseModel):
    inner: Inner


class Chain(BaseModel):
    next: Chain | None


class Page(BaseModel, Generic[T]):
    items: list[T]


def test_it_is_a_json_schema_with_the_methods_beside() -> None:
    document = build([method("b.two", Outer), method("a.one", None, Chain)])

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(document["x-methods"]) == ["a.one", "b.two"]
    assert document["x-methods"]["b.two"] == {"params": {"$ref": "#/$defs/Outer"}}


def test_enum_names_key_types_and_aliases_are_kept() -> None:
    model = create_model("Aliased", user_id=(str, Field(alias="userId")), inner=(Inner, ...))
    defs = build([method("m", model)])["$defs"]

    assert defs["Level"]["x-enum-varnames"] == ["LOW", "HIGH"]
    assert defs["Inner"]["properties"]["by_level"]["x-keys"] == {"type": "integer"}
    assert defs["Inner"]["properties"]["by_level"]["default"] == {}
    assert defs["Aliased"]["properties"]["userId"]["x-py-name"] == "user_id"


def test_generic_arguments_and_bases_are_kept() -> None:
    class Derived(Inner):
        pass

    defs = build([method("m", Page[Outer], Derived)])["$defs"]

    assert defs["PageOuter"]["x-generic"] == {"origin": "Page", "args": ["Outer"]}
    assert defs["Derived"]["x-bases"] == ["Inner"]


def test_fields_with_defaults_are_required_in_results_only() -> None:
    defs = build([method("m", Inner, Inner)])["$defs"]

    assert defs["Inner"]["required"] == ["level", "by_level"]
    assert "required" not in defs["InnerInput"]


def test_the_side_that_is_used_more_keeps_the_plain_name() -> None:
    defs = build([method("a", Inner, Inner), method("b", Outer), method("c", Page[Inner])])["$defs"]

    assert "required" in defs["InnerOutput"]
    assert "required" not in defs["Inner"]


def test_types_that_are_alike_on_both_sides_are_one_also_when_they_contain_themselves() -> None:
    assert list(build([method("m", Chain, Chain)])["$defs"]) == ["Chain"]


def test_what_refers_to_a_differing_type_differs() -> None:
    defs = build([method("m", Outer, Outer)])["$defs"]

    assert references(defs["Outer"]) == ["Inner"]
    assert references(defs["OuterInput"]) == ["InnerInput"]


def test_two_models_of_one_name_are_told_apart_by_where_they_are() -> None:
    left = create_model("Task", left=(int, ...), __module__="shop.orders.models")
    right = create_model("Task", right=(int, ...), __module__="shop.users.models")
    document = build([method("a", left), method("b", right)])

    assert document["x-methods"]["a"]["params"]["$ref"] == "#/$defs/OrdersTask"
    assert document["x-methods"]["b"]["params"]["$ref"] == "#/$defs/UsersTask"
    assert build([method("b", right), method("a", left)]) == document


def test_both_sides_of_a_type_are_one_also_beside_another_of_its_name() -> None:
    """That has one side only, so that pydantic names one of the three shorter than the others."""
    ours = create_model("Item", id=(int, ...), level=(Level, ...), __module__="shop.handlers")
    theirs = create_model("Item", title=(str, ...), __module__="blog.handlers")

    assert sorted(build([method("a", ours, ours), method("b", theirs)])["$defs"]) == ["BlogItem", "Level", "ShopItem"]


def test_generics_of_two_types_of_one_name_stay_two() -> None:
    ours = create_model("Item", id=(int, ...), __module__="shop.handlers")
    theirs = create_model("Item", title=(str, ...), __module__="blog.handlers")
    document = build([method("a", None, Page[ours]), method("b", None, Page[theirs])])

    results = [document["x-methods"][name]["result"]["$ref"] for name in ("a", "b")]
    assert len(set(results)) == 2


def test_an_alias_of_a_member_is_no_member() -> None:
    class Grade(enum.StrEnum):
        A = "a"
        BEST = "a"
        B = "b"

    found = build([method("m", create_model("Graded", grade=(Grade, ...)))])["$defs"]["Grade"]
    assert (found["enum"], found["x-enum-varnames"]) == (["a", "b"], ["A", "B"])


def test_names_that_the_clients_need_are_left_to_them() -> None:
    defs = build([method("m", create_model("Promise"), create_model("task"))])["$defs"]

    assert sorted(defs) == ["PromiseModel", "Task"]


@pytest.mark.parametrize(
    "name", ["default", "properties", "mapping", "$ref", "enum", "const", "$defs", "discriminator"]
)
def test_a_field_may_be_called_like_a_keyword_of_json_schema(name: str) -> None:
    fields: dict[str, Any] = {"field": (Inner, Field(alias=name))}
    defs = build([method("m", create_model("Odd", **fields), Inner)])["$defs"]

    assert references(defs["Odd"]) == ["InnerInput"]


def test_defaults_that_json_cannot_say_are_made_by_the_server() -> None:
    defs = build([method("m", create_model("Odd", x=(float, float("inf")), y=(object, object())))])["$defs"]

    assert "default" not in defs["Odd"]["properties"]["x"]
    assert "default" not in defs["Odd"]["properties"]["y"]
    json.dumps(defs, allow_nan=False)


SCRIPT = """
import hashlib
from tests.golden_update import CASES, plan
print(hashlib.sha256(repr([sorted(plan(case).files().items()) for case in CASES]).encode()).hexdigest())
"""


def test_the_output_does_not_depend_on_the_hash_seed() -> None:
    def digest(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert digest("1") == digest("20") != ""
