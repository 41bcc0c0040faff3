"""Pure: the document lowered to the IR. Whatever it does not know becomes `Open`, never an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django_cfg.apps.centrifugo.codegen.document import PREFIX
from django_cfg.apps.centrifugo.codegen.ir import (
    NO_DEFAULT,
    Alias,
    Api,
    Definition,
    Enum,
    Field,
    Kind,
    List,
    Literal,
    Map,
    Method,
    Model,
    Nullable,
    Open,
    Ref,
    Scalar,
    Set,
    Tuple,
    Type,
    Union,
    references,
    types_of,
    walk,
)
from django_cfg.apps.centrifugo.codegen.json_values import is_array, is_object

__all__ = ["lower"]

Schema = Mapping[str, Any]

_NULL = Literal((None,))
_FORMATS = {
    "date-time": Kind.DATETIME,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "duration": Kind.DURATION,
    "uuid": Kind.UUID,
    "binary": Kind.BYTES,
    "base64url": Kind.BASE64,
}
_PYTHON_TYPES = {"decimal": Kind.DECIMAL, "naive-datetime": Kind.NAIVE_DATETIME}
_SCALARS = {"integer": Kind.INT, "number": Kind.FLOAT, "boolean": Kind.BOOL, "string": Kind.STRING}


def lower(document: Schema) -> Api:
    methods = tuple(_method(name, schema) for name, schema in document["x-methods"].items())
    definitions = {name: _definition(name, schema) for name, schema in document["$defs"].items()}
    _require_tags(definitions)
    _mark_sides(definitions, methods)
    return Api(methods, tuple(definitions.values()))


def _method(name: str, schema: Schema) -> Method:
    return Method(
        name=name,
        params=_ref_name(schema.get("params")),
        result=_ref_name(schema.get("result")),
        description=schema.get("description", ""),
        idempotent=schema.get("idempotent", False),
    )


def _ref_name(schema: Schema | None) -> str | None:
    """None for a handler without a type, and for a model that makes up a schema of its own."""
    return None if schema is None or "$ref" not in schema else str(schema["$ref"]).removeprefix(PREFIX)


def _definition(name: str, schema: Schema) -> Definition:
    description = _text(schema, "description")
    if "x-enum-varnames" in schema and _uniform(schema["enum"]):
        return Enum(name, tuple(zip(schema["x-enum-varnames"], schema["enum"], strict=True)), description)
    if schema.get("type") == "object" and "properties" in schema:
        return _model(name, schema, description)
    return Alias(name, lower_type(schema), description, root=bool(schema.get("x-root")))


def _uniform(values: list[Any]) -> bool:
    return any(all(type(value) is kind for value in values) for kind in (str, int))


def _model(name: str, schema: Schema, description: str) -> Model:
    required = frozenset(schema.get("required", ()))
    generic = schema.get("x-generic", {})
    return Model(
        name=name,
        fields=tuple(_field(wire, found, wire in required) for wire, found in schema["properties"].items()),
        description=description,
        extra=bool(schema.get("additionalProperties", False)),
        deprecated=bool(schema.get("deprecated")),
        bases=tuple(schema.get("x-bases", ())),
        generic=(generic["origin"], *generic["args"]) if generic else (),
    )


def _field(wire: str, schema: Schema, required: bool) -> Field:
    lowered = lower_type(schema)
    default = schema["default"] if "default" in schema and "x-default-factory" not in schema else NO_DEFAULT
    if default is None and not isinstance(lowered, Nullable | Open):
        lowered = Nullable(lowered)  # `x: str = None`: null is what the wire carries
    return Field(
        py_name=schema.get("x-py-name", wire),
        wire_name=wire,
        type=lowered,
        required=required,
        default=default,
        description=_text(schema, "description"),
        deprecated=bool(schema.get("deprecated")),
    )


def lower_type(schema: Any) -> Type:
    """One schema; a schema of no known form is open."""
    if not is_object(schema):
        return Open()
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _union(schema[key], schema.get("discriminator", {}))
    if len(schema.get("allOf", ())) == 1:
        return lower_type(schema["allOf"][0])
    if "$ref" in schema:
        return Ref(str(schema["$ref"]).removeprefix(PREFIX))
    if "const" in schema or "enum" in schema:
        return _literal(schema.get("enum", [schema.get("const")]))
    return _by_type(schema)


def _by_type(schema: Schema) -> Type:
    match schema.get("type"):
        case "string":
            return Scalar(_string_kind(schema))
        case "integer" | "number" | "boolean" as name:
            return Scalar(_SCALARS[name])
        case "null":
            return _NULL
        case "array":
            return _array(schema)
        case "object":
            return Map(lower_type(schema.get("x-keys", {"type": "string"})), _map_values(schema))
        case names if is_array(names):
            return _union([{**schema, "type": name} for name in names], {})
        case _:
            return Open()


def _string_kind(schema: Schema) -> Kind:
    special = _PYTHON_TYPES.get(schema.get("x-python-type", ""))
    return special or _FORMATS.get(str(schema.get("format")), Kind.STRING)


def _array(schema: Schema) -> Type:
    if "prefixItems" in schema and "items" not in schema:
        return Tuple(tuple(lower_type(item) for item in schema["prefixItems"]))
    item = Open() if "prefixItems" in schema else lower_type(schema.get("items", {}))
    if schema.get("uniqueItems"):
        return Set(item, frozen=schema.get("x-python-type") == "frozenset")
    return List(item)


def _map_values(schema: Schema) -> Type:
    patterns: Schema = schema.get("patternProperties", {})
    values = schema.get("additionalProperties", next(iter(patterns.values()), True))
    return lower_type(values)


def _literal(values: list[Any]) -> Type:
    scalars = [value for value in values if isinstance(value, str | int | float | bool)]
    if len(scalars) + values.count(None) != len(values):
        return Open()
    # Python's Literal has no numbers with a fraction.
    named = tuple(value for value in scalars if not isinstance(value, float))
    chosen: Type = Literal(named)
    if len(named) < len(scalars):
        chosen = Union((chosen, Scalar(Kind.FLOAT))) if named else Scalar(Kind.FLOAT)
    return chosen if None not in values else (Nullable(chosen) if scalars else _NULL)


def _union(schemas: Iterable[Any], discriminator: Schema) -> Type:
    items: list[Type] = []
    nullable = False
    for found in (lower_type(schema) for schema in schemas):
        if found == _NULL:
            nullable = True
            continue
        nullable = nullable or isinstance(found, Nullable)
        item = found.item if isinstance(found, Nullable) else found
        items.extend(part for part in _flat(item) if part not in items)
    joined = _joined(items, discriminator)
    return Nullable(joined) if nullable and not isinstance(joined, Open) else joined


def _flat(item: Type) -> tuple[Type, ...]:
    return item.items if isinstance(item, Union) else (item,)


def _joined(items: list[Type], discriminator: Schema) -> Type:
    if Open() in items or not items:
        return Open()
    if len(items) == 1:
        return items[0]
    mapping = tuple(
        (str(tag), Ref(str(ref).removeprefix(PREFIX))) for tag, ref in discriminator.get("mapping", {}).items()
    )
    known = bool(mapping) and {item for _, item in mapping} == set(items)
    return Union(tuple(items), discriminator["propertyName"] if known else None, mapping if known else ())


def _text(schema: Schema, key: str) -> str:
    value = schema.get(key, "")
    return value if isinstance(value, str) else ""


def _require_tags(definitions: dict[str, Definition]) -> None:
    """The server cannot choose a variant without its tag, also where the tag has a default."""
    tags = {
        (item.name, found.tag)
        for definition in definitions.values()
        for top in types_of(definition)
        for found in walk(top)
        if isinstance(found, Union) and found.tag
        for item in found.items
        if isinstance(item, Ref)
    }
    for name, tag in sorted(tags):
        model = definitions[name]
        if isinstance(model, Model):
            fields = tuple(replace(f, required=f.required or f.wire_name == tag) for f in model.fields)
            definitions[name] = replace(model, fields=fields)


def _mark_sides(definitions: dict[str, Definition], methods: Iterable[Method]) -> None:
    methods = tuple(methods)
    params = _reachable(definitions, (method.params for method in methods))
    results = _reachable(definitions, (method.result for method in methods))
    for name, found in definitions.items():
        if isinstance(found, Model):
            definitions[name] = replace(found, in_params=name in params, in_results=name in results)


def _reachable(definitions: Mapping[str, Definition], roots: Iterable[str | None]) -> set[str]:
    seen: set[str] = set()
    todo = [root for root in roots if root is not None]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(references(definitions[name]))
    return seen
