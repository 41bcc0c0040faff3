"""The document lowered to types: one schema, one type; what is not known is open."""

from __future__ import annotations

from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.ir import (
    NO_DEFAULT,
    Alias,
    Enum,
    Kind,
    List,
    Literal,
    Map,
    Model,
    Nullable,
    Open,
    Ref,
    Scalar,
    Set,
    Tuple,
    Type,
    Union,
)
from django_cfg.apps.centrifugo.codegen.lower import lower, lower_type

TEXT, WHOLE = Scalar(Kind.STRING), Scalar(Kind.INT)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, TEXT),
        ({"type": "string", "format": "email"}, TEXT),
        ({"type": "string", "format": "date-time"}, Scalar(Kind.DATETIME)),
        ({"type": "string", "format": "date-time", "x-python-type": "naive-datetime"}, Scalar(Kind.NAIVE_DATETIME)),
        ({"type": "string", "format": "duration"}, Scalar(Kind.DURATION)),
        ({"type": "string", "x-python-type": "decimal"}, Scalar(Kind.DECIMAL)),
        ({"type": "string", "format": "base64url"}, Scalar(Kind.BASE64)),
        ({"type": "number"}, Scalar(Kind.FLOAT)),
        ({"type": "null"}, Literal((None,))),
        ({"$ref": "#/$defs/Task"}, Ref("Task")),
        ({"allOf": [{"$ref": "#/$defs/Task"}], "default": {}}, Ref("Task")),
        ({"const": "a"}, Literal(("a",))),
        ({"enum": ["a", 1, None]}, Nullable(Literal(("a", 1)))),
        ({"type": "array", "items": {"type": "integer"}}, List(WHOLE)),
        ({"type": "array"}, List(Open())),
        ({"type": "array", "items": {}, "uniqueItems": True, "x-python-type": "frozenset"}, Set(Open(), frozen=True)),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, Tuple((WHOLE, TEXT))),
        ({"type": "object"}, Map(TEXT, Open())),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, Map(TEXT, WHOLE)),
        ({"type": "object", "patternProperties": {"^a": {"type": "integer"}}}, Map(TEXT, WHOLE)),
        ({"type": "object", "x-keys": {"type": "integer"}, "additionalProperties": True}, Map(WHOLE, Open())),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, Nullable(TEXT)),
        ({"anyOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}, TEXT),
        (
            {"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "string"}]},
            Nullable(Union((WHOLE, TEXT))),
        ),
        ({"anyOf": [{"type": "string"}, {}]}, Open()),
        ({"type": ["string", "null"]}, Nullable(TEXT)),
        ({}, Open()),
        (True, Open()),
        ({"type": "hyperbole"}, Open()),
        ({"x-open": "a function"}, Open()),
        ({"enum": [["a"]]}, Open()),
    ],
)
def test_a_schema_becomes_a_type(schema: Any, expected: Type) -> None:
    assert lower_type(schema) == expected


def document(defs: dict[str, Any], **methods: Any) -> dict[str, Any]:
    return {"$defs": defs, "x-methods": methods}


def model(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def only_model(defs: dict[str, Any], name: str) -> Model:
    found = lower(document(defs, m={"params": {"$ref": f"#/$defs/{name}"}})).by_name[name]
    assert isinstance(found, Model)
    return found


def test_a_default_of_null_makes_a_field_nullable() -> None:
    (field,) = only_model({"M": model(x={"type": "string", "default": None})}, "M").fields

    assert (field.type, field.default, field.required) == (Nullable(TEXT), None, False)


def test_a_default_that_only_the_server_can_make_is_none_here() -> None:
    (field,) = only_model({"M": model(x={"type": "string", "x-default-factory": "uuid4"})}, "M").fields

    assert (field.default, field.required) == (NO_DEFAULT, False)


def test_the_tag_of_a_variant_is_required_though_it_has_a_default() -> None:
    union = {
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
    }
    tag = {"const": "cat", "default": "cat"}
    defs = {
        "Cat": model(kind=tag, age={"type": "integer", "default": 1}),
        "Dog": model(kind=tag),
        "M": model(pet=union),
    }

    assert [field.required for field in only_model(defs, "Cat").fields] == [True, False]
    assert only_model(defs, "M").fields[0].type == Union(
        (Ref("Cat"), Ref("Dog")), "kind", (("cat", Ref("Cat")), ("dog", Ref("Dog")))
    )


def test_an_enum_of_mixed_values_is_a_literal() -> None:
    api = lower(
        document(
            {
                "Same": {"enum": ["a", "b"], "x-enum-varnames": ["A", "B"]},
                "Mixed": {"enum": ["a", 1], "x-enum-varnames": ["A", "ONE"]},
            }
        )
    )

    assert api.by_name["Same"] == Enum("Same", (("A", "a"), ("B", "b")))
    assert api.by_name["Mixed"] == Alias("Mixed", Literal(("a", 1)))


def test_models_know_on_which_side_they_are_used() -> None:
    defs = {"P": model(i={"$ref": "#/$defs/I"}), "R": model(i={"$ref": "#/$defs/I"}), "I": model()}
    api = lower(document(defs, m={"params": {"$ref": "#/$defs/P"}, "result": {"$ref": "#/$defs/R"}}))

    sides = {found.name: (found.in_params, found.in_results) for found in api.definitions if isinstance(found, Model)}
    assert sides == {"P": (True, False), "R": (False, True), "I": (True, True)}
