"""Pure: the IR's types, values and fields in Python."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join
from django_cfg.apps.centrifugo.codegen.escape import name, python_literal
from django_cfg.apps.centrifugo.codegen.ir import (
    Alias,
    Api,
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
from django_cfg.apps.centrifugo.codegen.json_values import is_array, is_object
from django_cfg.apps.centrifugo.codegen.names import field_names
from django_cfg.apps.centrifugo.codegen.reserved import ENUM_MEMBERS

__all__ = ["BUILTINS", "Annotations", "is_constant", "member_names", "value"]

BUILTINS = frozenset({"bool", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"})

_SCALARS = {
    Kind.STRING: "str",
    Kind.INT: "int",
    Kind.FLOAT: "float",
    Kind.BOOL: "bool",
    Kind.DATETIME: "_datetime.datetime",
    Kind.NAIVE_DATETIME: "_datetime.datetime",
    Kind.DATE: "_datetime.date",
    Kind.TIME: "_datetime.time",
    Kind.DURATION: "_datetime.timedelta",
    Kind.UUID: "UUID",
    Kind.DECIMAL: "Decimal",
    Kind.BYTES: "bytes",
    Kind.BASE64: "_Base64",
}


class Annotations:
    """Writes type expressions and remembers in `used` which names they need.

    `shadowed` holds the builtins that a model hides by a field of the same name; they are written `_builtins.list`.
    """

    def __init__(self) -> None:
        self.used: set[str] = set()

    def write(self, of: Type, shadowed: frozenset[str] = frozenset()) -> Code:
        match of:
            case Scalar(kind):
                return self._name(_SCALARS[kind], shadowed)
            case Open():
                return self._name("Any", shadowed)
            case Ref(target):
                return name(target)
            case Nullable(item):
                return code("{} | None", self.write(item, shadowed))
            case Literal((None,)):
                return Code("None")
            case Literal(values):
                return code("{}[{}]", self._name("Literal", shadowed), join(", ", map(python_literal, values)))
            case Union(items):
                return join(" | ", (self.write(item, shadowed) for item in items))
            case _:
                return self._container(of, shadowed)

    def _container(self, of: List | Set | Tuple | Map, shadowed: frozenset[str]) -> Code:
        base: str
        arguments: tuple[Type, ...]
        match of:
            case List(item):
                base, arguments = "list", (item,)
            case Set(item, frozen):
                base, arguments = "frozenset" if frozen else "set", (item,)
            case Tuple(items):
                base, arguments = "tuple", items
            case Map(key, found):
                base, arguments = "dict", (key, found)
        written = join(", ", (self.write(argument, shadowed) for argument in arguments)) if arguments else Code("()")
        return code("{}[{}]", self._name(base, shadowed), written)

    def _name(self, written: str, shadowed: frozenset[str]) -> Code:
        if written in shadowed:
            written = f"_builtins.{written}"
        self.used.add(written.partition(".")[0])
        return Code(written)


def member_names(found: Enum) -> dict[str, Code]:
    """By the server's name: an enum member's name here."""
    made = field_names({label: label for label, _ in found.members}, reserved=ENUM_MEMBERS)
    return {label: name(here) for label, here in made.items()}


def is_constant(of: Type) -> bool:
    """Whether the type has one value only, such as the tag of a variant."""
    return isinstance(of, Literal) and len(of.values) == 1


def value(api: Api, of: Type, found: Any, annotations: Annotations) -> Code | None:
    """An expression for a JSON value of a type, or None where there is no simple one."""
    match of:
        case Nullable(item):
            return Code("None") if found is None else value(api, item, found, annotations)
        case Open():
            return python_literal(found)
        case Literal(values):
            return python_literal(found) if found in values else None
        case Scalar(kind):
            return _scalar(kind, found, annotations)
        case Ref(target):
            return _named(api, target, found, annotations)
        case Union(items):
            simple = (item for item in items if isinstance(item, Scalar | Literal))
            return next((made for item in simple if (made := value(api, item, found, annotations))), None)
        case _:
            return _collection(api, of, found, annotations)


def _scalar(kind: Kind, found: Any, annotations: Annotations) -> Code | None:
    plain = {Kind.STRING: str, Kind.INT: int, Kind.FLOAT: float, Kind.BOOL: bool}
    if kind in plain:
        fits = type(found) is plain[kind] or (kind is Kind.FLOAT and type(found) is int)
        return python_literal(found) if fits else None
    if not isinstance(found, str):
        return None
    annotations.used.add(_SCALARS[kind].partition(".")[0])
    match kind:
        case Kind.BYTES:
            return Code(ascii(found.encode()))
        case Kind.BASE64:
            return Code(ascii(base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))))
        case Kind.DURATION:
            parsed = TypeAdapter(timedelta).validate_python(found)
            return Code(
                f"_datetime.timedelta(days={parsed.days}, seconds={parsed.seconds}, microseconds={parsed.microseconds})"
            )
        case Kind.UUID | Kind.DECIMAL:
            return code("{}({})", Code(_SCALARS[kind]), python_literal(found))
        case _:
            return code("{}.fromisoformat({})", Code(_SCALARS[kind]), python_literal(found))


def _named(api: Api, target: str, found: Any, annotations: Annotations) -> Code | None:
    annotations.used.add(target)
    match api.by_name[target]:
        case Enum(_, members) as enum:
            labels = member_names(enum)
            return next((code("{}.{}", name(target), labels[m]) for m, wire in members if wire == found), None)
        case Model() | Alias(root=True):
            return code("{}.model_validate({})", name(target), python_literal(found))
        case Alias(type=of):
            return value(api, of, found, annotations)


def _collection(api: Api, of: List | Set | Tuple | Map, found: Any, annotations: Annotations) -> Code | None:
    if isinstance(of, Map):
        return _mapping(api, of, found, annotations)
    if not is_array(found):
        return None
    inner = of.items if isinstance(of, Tuple) else (of.item,) * len(found)
    if len(inner) != len(found):
        return None
    written = [value(api, item, entry, annotations) for item, entry in zip(inner, found, strict=True)]
    known = [entry for entry in written if entry is not None]
    if len(known) < len(written):
        return None
    if not known:
        return code("{}()", annotations.write(of))
    joined = join(", ", known)
    match of:
        case Tuple():
            return code("({},)" if len(known) == 1 else "({})", joined)
        case Set(frozen=True):
            return code("frozenset({{{}}})", joined)
        case Set():
            return code("{{{}}}", joined)
        case List():
            return code("[{}]", joined)


def _mapping(api: Api, of: Map, found: Any, annotations: Annotations) -> Code | None:
    if found == {}:
        return code("{}()", annotations.write(of))
    if not is_object(found) or of.key != Scalar(Kind.STRING):
        return None
    written = [(python_literal(key), value(api, of.value, entry, annotations)) for key, entry in found.items()]
    known = [code("{}: {}", key, entry) for key, entry in written if entry is not None]
    return code("{{{}}}", join(", ", known)) if len(known) == len(written) else None
