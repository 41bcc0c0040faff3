"""JSON Schema 2020-12 of the methods' models, with what pydantic leaves out kept under `x-` keys.

| key | on | holds |
|---|---|---|
| `x-name`, `x-module`, `x-qualname` | definitions | where the Python type comes from |
| `x-mode` | definitions | for which side they are, until both have their keys: `validation` or `serialization` |
| `x-bases`, `x-generic` | definitions of models | names of the base models; the generic origin and its arguments |
| `x-root` | definitions of root models | true |
| `x-enum-varnames` | enums | member names, in the order of `enum` |
| `x-py-name` | properties | the Python name behind an alias |
| `x-default-factory` | properties | the factory of a default that only the server can make |
| `x-python-type` | values | `set`, `frozenset`, `decimal`, `naive-datetime` |
| `x-keys` | objects | the schema of the keys, where they are not plain text |
| `x-open` | values | why the value has no schema |
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from django_cfg.errors import GenerationError
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["Roots", "definitions"]

Roots = Mapping[tuple[Any, JsonSchemaMode], JsonSchemaValue]
"""What refers to a method's model in the definitions."""


def definitions(methods: Iterable[RPCMethodInfo]) -> tuple[Roots, dict[str, JsonSchemaValue]]:
    """References to and definitions of everything that the methods take and return; raises GenerationError.

    A type that looks different in parameters and in results is defined twice, as `Name-Input` and `Name-Output`.
    """
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for method in methods:
        for model, mode in _models(method):
            _check_complete(method, model)
            models[model, mode] = None
    roots, document = models_json_schema(list(models), schema_generator=_Schema)
    return roots, document.get("$defs", {})


def _models(method: RPCMethodInfo) -> Iterable[tuple[type[BaseModel], JsonSchemaMode]]:
    if method.params_model is not None:
        yield method.params_model, "validation"
    if method.result_model is not None:
        yield method.result_model, "serialization"


def _check_complete(method: RPCMethodInfo, model: type[BaseModel]) -> None:
    try:
        model.model_rebuild()
    except (PydanticUndefinedAnnotation, PydanticUserError, NameError) as error:
        reason = str(error).partition("\n")[0]
        raise GenerationError(
            f"{method.source or method.name}: {model.__name__} of {method.name} names a missing type: {reason}"
        ) from error


class _Schema(GenerateJsonSchema):
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # the base class's own form

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        cls = schema["cls"]
        self._describe_type(found, cls)
        if schema.get("root_model"):
            return {**found, "x-root": True}
        generic: Any = cls.__pydantic_generic_metadata__
        if generic["origin"]:
            args = [getattr(arg, "__name__", str(arg)) for arg in generic["args"]]
            return {**found, "x-generic": {"origin": generic["origin"].__name__, "args": args}}
        bases = [base.__name__ for base in cls.__bases__ if base is not BaseModel and issubclass(base, BaseModel)]
        return {**found, "x-bases": bases} if bases else found

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return self._describe_type(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        found = super().typed_dict_schema(schema)
        self._add_python_names(found, schema["fields"])
        return self._describe_type(found, schema["cls"]) if "cls" in schema else found

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> JsonSchemaValue:
        found = super().model_fields_schema(schema)
        computed = {field["property_name"]: field for field in schema.get("computed_fields", [])}
        self._add_python_names(found, {**schema["fields"], **(computed if self.mode == "serialization" else {})})
        return found

    def dataclass_args_schema(self, schema: core_schema.DataclassArgsSchema) -> JsonSchemaValue:
        found = super().dataclass_args_schema(schema)
        self._add_python_names(found, {field["name"]: field for field in schema["fields"]})
        return found

    def _add_python_names(self, found: JsonSchemaValue, fields: Mapping[str, Mapping[str, Any]]) -> None:
        for name, field in fields.items():
            wire = _wire_name(field, name, self.mode)
            if wire != name and wire in found.get("properties", {}):
                found["properties"][wire]["x-py-name"] = name

    def field_is_required(self, field: Any, total: bool) -> bool:
        """In results every field is there, also one that has a default."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return not field.get("serialization_exclude") and not field.get("serialization_exclude_if")
        return super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        if "default_factory" not in schema:
            return _without_odd_default(found)
        factory: Any = schema["default_factory"]
        empty = _EMPTY.get(get_origin(factory) or factory)
        if empty is not None:
            return {**found, "default": empty()}
        return {**found, "x-default-factory": getattr(factory, "__name__", "factory")}

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        if issubclass(schema["cls"], enum.Flag):  # any sum of the members is a value
            return self._describe_type({"type": "integer"}, schema["cls"])
        members: list[enum.Enum] = list({member.name: member for member in schema["members"]}.values())  # no aliases
        found = super().enum_schema({**schema, "members": members})
        found["x-enum-varnames"] = [member.name for member in members]
        if schema["cls"].__doc__ in (None, enum.Enum.__doc__, enum.StrEnum.__doc__, enum.IntEnum.__doc__):
            found.pop("description", None)
        return self._describe_type(found, schema["cls"])

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        found = super().datetime_schema(schema)
        return {**found, "x-python-type": "naive-datetime"} if schema.get("tz_constraint") == "naive" else found

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "string", "x-python-type": "decimal"}

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        return {**super().set_schema(schema), "x-python-type": "set"}

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        return {**super().frozenset_schema(schema), "x-python-type": "frozenset"}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        plain = not keys or (keys.get("type") == "string" and not {"format", "x-python-type", "enum"} & keys.keys())
        return found if plain else {**found, "x-keys": keys}

    def _describe_type(self, found: JsonSchemaValue, cls: type) -> JsonSchemaValue:
        found["x-name"] = cls.__name__
        found["x-module"] = cls.__module__
        found["x-qualname"] = cls.__qualname__
        found["x-mode"] = self.mode
        return found

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """A type that JSON Schema cannot say stays open instead of failing the whole generation."""
        return {"x-open": error_info}


_EMPTY: dict[Any, type[list[Any] | dict[str, Any]]] = {list: list, dict: dict, set: list, frozenset: list, tuple: list}
"""Factories whose default is known, and its form in JSON."""


def _without_odd_default(found: JsonSchemaValue) -> JsonSchemaValue:
    try:
        json.dumps(found.get("default"), allow_nan=False)
    except ValueError:
        return {**{key: value for key, value in found.items() if key != "default"}, "x-default-factory": "not finite"}
    return found


def _wire_name(field: Mapping[str, Any], name: str, mode: JsonSchemaMode) -> str:
    if field["type"] == "computed-field":
        alias = field.get("alias", name)
    else:
        alias = field.get("validation_alias" if mode == "validation" else "serialization_alias", name)
    if isinstance(alias, str):
        return alias
    paths: Sequence[Any] = alias if isinstance(alias[0], list) else [alias]
    return next((path[0] for path in paths if len(path) == 1 and isinstance(path[0], str)), name)
