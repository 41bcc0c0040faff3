"""Pure: the IR's types in Go, and what they need beside them: imports, support code, a struct for each union."""

from __future__ import annotations

from dataclasses import dataclass

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join
from django_cfg.apps.centrifugo.codegen.escape import go_string, name
from django_cfg.apps.centrifugo.codegen.ir import (
    Alias,
    Api,
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
    walk,
)

__all__ = ["GoTypes", "GoUnion", "Variant"]

_OPEN = Code("interface{}")
_SCALARS = {
    Kind.STRING: "string",
    Kind.INT: "int64",
    Kind.FLOAT: "float64",
    Kind.BOOL: "bool",
    Kind.DATETIME: "time.Time",
    Kind.NAIVE_DATETIME: "NaiveDateTime",
    Kind.DATE: "Date",
    Kind.TIME: "string",
    Kind.DURATION: "Duration",
    Kind.UUID: "string",
    Kind.DECIMAL: "string",
    Kind.BYTES: "string",
    Kind.BASE64: "Base64",
}
_LABELS = {"time.Time": "Time", "interface{}": "Any"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One pointer of a union's struct; `required` and `known` are the properties that tell objects apart."""

    name: Code
    type: Code
    tags: tuple[Code, ...]
    is_object: bool
    required: tuple[Code, ...]
    known: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class GoUnion:
    name: Code
    tag: Code | None
    variants: tuple[Variant, ...]


class GoTypes:
    """Writes type expressions and remembers what they need."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.needs: set[str] = set()
        self.unions: dict[Union, GoUnion] = {}
        self._union_names: dict[Union, str] = {}
        self._name_unions_after_aliases()

    def _name_unions_after_aliases(self) -> None:
        """A union that an alias names has that name everywhere. Its struct, when empty, is null as well."""
        for alias in self._api.definitions:
            match alias:
                case Alias(type=Union() as union) | Alias(type=Nullable(Union() as union)):
                    self._union_names.setdefault(union, alias.name)
                case _:
                    pass

    def write(self, of: Type) -> Code:
        match of:
            case Scalar(kind):
                return self._scalar(kind)
            case Open():
                return _OPEN
            case Ref(target):
                return name(target)
            case Nullable(item):
                return self.write(item) if self.can_be_nil(item) else code("*{}", self.write(item))
            case List(item) | Set(item):
                return code("[]{}", self.write(item))
            case Map(key, found):
                return code("map[{}]{}", self._key(key), self.write(found))
            case Tuple(items):
                return self._tuple(items)
            case Literal(values):
                return _literal(values)
            case Union():
                return self._union(of)

    def can_be_nil(self, of: Type) -> bool:
        """Whether the Go type has a nil of its own, which encodes as null."""
        match self.underlying(of):
            case List() | Set() | Map() | Open() | Nullable():
                return True
            case Literal() | Union() as inner:
                return self.write(inner) == _OPEN
            case Tuple(items):
                return not items
            case _:
                return False

    def underlying(self, of: Type) -> Type:
        """What a reference to an alias stands for."""
        seen: set[str] = set()
        while isinstance(of, Ref) and of.name not in seen:
            seen.add(of.name)
            found = self._api.by_name[of.name]
            if not isinstance(found, Alias):
                break
            of = found.type
        return of

    def alias(self, target: str) -> Alias | None:
        found = self._api.by_name[target]
        return found if isinstance(found, Alias) else None

    def is_collection(self, of: Type) -> bool:
        """Whether it is a slice or a map, which the server would not take as null."""
        return isinstance(self.underlying(of), List | Set | Map)

    def is_collection_named(self, target: str) -> bool:
        return self.is_collection(Ref(target))

    def holds_times(self, of: Type, seen: frozenset[str] = frozenset()) -> bool:
        """Whether a `time.Time` lies in the type, other than in a struct that reads it itself."""
        for part in walk(of):
            if part == Scalar(Kind.DATETIME):
                return True
            if isinstance(part, Ref) and part.name not in seen:
                found = self._api.by_name[part.name]
                if isinstance(found, Alias) and self.holds_times(found.type, seen | {part.name}):
                    return True
        return False

    def _scalar(self, kind: Kind) -> Code:
        written = _SCALARS[kind]
        if written == "time.Time":
            self.needs.add("time")
        elif written[0].isupper():
            self.needs.add(written)
        return Code(written)

    def _key(self, key: Type) -> Code:
        inner = self.underlying(key)
        if inner == Scalar(Kind.INT):
            return Code("int64")
        return self.write(inner) if isinstance(inner, Ref) else Code("string")

    def _tuple(self, items: tuple[Type, ...]) -> Code:
        if not items:
            return Code("[]interface{}")
        self.needs.add(f"Tuple{len(items)}")
        return code("{}[{}]", Code(f"Tuple{len(items)}"), join(", ", map(self.write, items)))

    def _union(self, of: Union) -> Code:
        if of in self.unions:
            return self.unions[of].name
        items = list({self.write(item): item for item in of.items}.values())
        if len(items) == 1:
            return self.write(items[0])
        labels = [self._label(item) for item in items]
        union = name(self._union_name(of, labels))
        self.unions[of] = GoUnion(union, None, ())  # so that a union inside itself ends here
        variants = tuple(self._variant(of, item, label) for item, label in zip(items, labels, strict=True))
        self.unions[of] = GoUnion(union, None if of.tag is None else go_string(of.tag), variants)
        return union

    def _union_name(self, of: Union, labels: list[str]) -> str:
        if of not in self._union_names:
            wanted = "Or".join(labels)
            taken = {*self._api.by_name, *self._union_names.values()}
            while wanted in taken:
                wanted += "Union"
            self._union_names[of] = wanted
        return self._union_names[of]

    def _variant(self, of: Union, item: Type, label: str) -> Variant:
        found = self._api.by_name[item.name] if isinstance(item, Ref) else None
        fields = found.fields if isinstance(found, Model) else ()
        return Variant(
            name=name(label),
            type=self.write(item),
            tags=tuple(go_string(tag) for tag, target in of.mapping if target == item),
            is_object=isinstance(found, Model),
            required=tuple(go_string(field.wire_name) for field in fields if field.required),
            known=tuple(go_string(field.wire_name) for field in fields),
        )

    def _label(self, item: Type) -> str:
        match item:
            case Ref(target):
                return target
            case List(inner) | Set(inner):
                return f"{self._label(inner)}List"
            case Map(_, inner):
                return f"{self._label(inner)}Map"
            case Tuple(items):
                return "".join(self._label(inner) for inner in items) + "Tuple"
            case Nullable(inner):
                return f"Optional{self._label(inner)}"
            case Union(items):
                return "Or".join(self._label(inner) for inner in items)
            case _:
                written = str(self.write(item))
                return _LABELS.get(written, written[:1].upper() + written[1:])


def _literal(values: tuple[str | int | float | bool | None, ...]) -> Code:
    kinds = {type(found) for found in values}
    names: dict[type, str] = {str: "string", int: "int64", bool: "bool", float: "float64"}
    return Code(names.get(kinds.pop(), _OPEN)) if len(kinds) == 1 else _OPEN
