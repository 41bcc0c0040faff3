"""The typed tree between the schema and the languages: what crosses the wire, and what it is called.

A language back end reads nothing else. Descriptions, default values and wire names in it come from the project's source
code and are not safe to emit as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum as PyEnum
from typing import Any, TypeAlias

__all__ = [
    "NO_DEFAULT",
    "UNTYPED",
    "Alias",
    "Api",
    "Definition",
    "Enum",
    "Field",
    "Kind",
    "List",
    "Literal",
    "Map",
    "Method",
    "Model",
    "Nullable",
    "Open",
    "Ref",
    "Scalar",
    "Set",
    "Tuple",
    "Type",
    "Union",
    "children",
    "references",
    "types_of",
    "walk",
]


class Kind(PyEnum):
    """What a scalar means; its form on the wire is in brackets."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DATETIME = "datetime"  # RFC 3339; the offset may be missing
    NAIVE_DATETIME = "naive datetime"  # RFC 3339 without offset
    DATE = "date"  # 2024-12-31
    TIME = "time"  # 12:34:56.789
    DURATION = "duration"  # ISO 8601, P1DT1.5S
    UUID = "uuid"
    DECIMAL = "decimal"  # a string
    BYTES = "bytes"  # a string of UTF-8
    BASE64 = "base64"  # a string of base64, URL-safe alphabet


@dataclass(frozen=True, slots=True)
class Scalar:
    kind: Kind


@dataclass(frozen=True, slots=True)
class Open:
    """Any JSON value: the source says so, or its type has no form in JSON Schema."""


@dataclass(frozen=True, slots=True)
class Ref:
    name: str


@dataclass(frozen=True, slots=True)
class Nullable:
    item: Type


@dataclass(frozen=True, slots=True)
class List:
    item: Type


@dataclass(frozen=True, slots=True)
class Set:
    """A JSON array without repetitions."""

    item: Type
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Map:
    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class Literal:
    """One of a few JSON scalars."""

    values: tuple[str | int | float | bool | None, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types. `tag` is the wire name of the property that tells them apart, `mapping` its values."""

    items: tuple[Type, ...]
    tag: str | None = None
    mapping: tuple[tuple[str, Type], ...] = ()


Type: TypeAlias = Scalar | Open | Ref | Nullable | List | Set | Tuple | Map | Literal | Union


class _NoDefault(PyEnum):
    NO_DEFAULT = "no default"


NO_DEFAULT = _NoDefault.NO_DEFAULT


@dataclass(frozen=True, slots=True)
class Field:
    """`required`: it is always there. `default` is JSON, and NO_DEFAULT also where only the server can make it."""

    py_name: str
    wire_name: str
    type: Type
    required: bool
    default: Any = NO_DEFAULT
    description: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """`extra`: there may be properties beyond the fields. `in_params`, `in_results`: where it is used."""

    name: str
    fields: tuple[Field, ...]
    description: str = ""
    extra: bool = False
    deprecated: bool = False
    bases: tuple[str, ...] = ()
    generic: tuple[str, ...] = ()
    in_params: bool = False
    in_results: bool = False


@dataclass(frozen=True, slots=True)
class Enum:
    """Members by name, all texts or all whole numbers."""

    name: str
    members: tuple[tuple[str, str | int], ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """A named type that is no object: a root model (`root`) or a type alias."""

    name: str
    type: Type
    description: str = ""
    root: bool = False


Definition: TypeAlias = Model | Enum | Alias

UNTYPED = None
"""The parameters or the result of a handler without types: an object about which nothing is known."""


@dataclass(frozen=True, slots=True)
class Method:
    """`params` and `result` name a definition, or are UNTYPED."""

    name: str
    params: str | None
    result: str | None
    description: str = ""
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """Everything that is generated, in the order of its names."""

    methods: tuple[Method, ...]
    definitions: tuple[Definition, ...]
    by_name: dict[str, Definition] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {definition.name: definition for definition in self.definitions})


def children(of: Type) -> tuple[Type, ...]:
    """The types directly inside a type; a reference has none."""
    match of:
        case Nullable(item) | List(item) | Set(item):
            return (item,)
        case Tuple(items) | Union(items):
            return items
        case Map(key, value):
            return (key, value)
        case Scalar() | Open() | Ref() | Literal():
            return ()


def walk(of: Type) -> Iterable[Type]:
    """A type and everything inside it, outermost first."""
    yield of
    for child in children(of):
        yield from walk(child)


def types_of(definition: Definition) -> tuple[Type, ...]:
    """The types that a definition is written with."""
    match definition:
        case Model():
            return tuple(found.type for found in definition.fields)
        case Alias():
            return (definition.type,)
        case Enum():
            return ()


def references(definition: Definition) -> frozenset[str]:
    """The definitions that a definition names itself."""
    found = (part for top in types_of(definition) for part in walk(top))
    return frozenset(part.name for part in found if isinstance(part, Ref))
