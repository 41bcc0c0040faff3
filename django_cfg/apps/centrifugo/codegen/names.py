"""Pure: what things are called in each language. Wire names never change; these are only the names in the source."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

__all__ = [
    "RESERVED_METHODS",
    "RESERVED_TYPES",
    "MethodNames",
    "camel",
    "capitalize",
    "field_names",
    "identifier",
    "method_names",
    "pascal",
]

RESERVED_METHODS = frozenset(
    "api await call catch close connect constructor disconnect finally hasownproperty isprototypeof log on "
    "propertyisenumerable publish rpc state subscribe then tolocalestring tostring unsubscribe valueof".split()
)
"""Methods of the base clients and of every JavaScript object, in lower case without separators: the same in every language."""

RESERVED_TYPES = frozenset(
    # the clients' own
    "API APIClient CallOption CallOptions CentrifugoRPCClient ClientOption ClientOptions ClientState Code Error ErrorCode "
    "ErrorHook EventHandler GetToken Handler New NewAPIClient Option Options Push PushHandler RPCError RPCErrorCode State "
    "StateHandler Subscription SubscribeOption SubscribeOptions Transport Unsubscribe "
    # of Go's types.go
    "Base64 Date Duration NaiveDateTime Ptr Raw String Tuple Union "
    # of Python's models.py
    "Annotated Any BaseModel ConfigDict Decimal Enum Field IntEnum Literal None True False RootModel StrEnum TypeAliasType UUID "
    # of TypeScript's types.ts and client.ts
    "Array Boolean Function Number Object Partial Promise Record String Symbol".split()
)
"""Names that generated files and base clients declare or use: a model of that name gets `Model` behind it."""

_MODEL_ATTRIBUTES = frozenset(dir(BaseModel)) | {"model_fields_set"}
_PYTHON_NAMES = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) - {"match", "case", "type", "_"}


@dataclass(frozen=True, slots=True)
class MethodNames:
    python: str
    typescript: str
    go: str


def capitalize(name: str) -> str:
    """The first letter in upper case, the rest as it is."""
    return name[:1].upper() + name[1:]


def pascal(name: str) -> str:
    """`tasks.get_stats` -> `TasksGetStats`, `user_id` -> `UserId`."""
    return "".join(capitalize(part) for part in _parts(name))


def camel(name: str) -> str:
    """`tasks.get_stats` -> `tasksGetStats`."""
    made = pascal(name)
    return made[:1].lower() + made[1:]


def identifier(name: str) -> str:
    """`tasks.get_stats` -> `tasks_get_stats`; `field_` before what begins with no letter, `_` behind a keyword of Python."""
    made = "_".join(_parts(name))
    made = made if made[:1].isalpha() else f"field_{made}".rstrip("_")
    trailing = "_" if name.endswith("_") and name.isidentifier() else ""
    return _away_from_keyword(made + trailing)


def method_names(wire_names: Iterable[str]) -> tuple[dict[str, MethodNames], list[str]]:
    """The methods' names, and a sentence for each one that could not have its own.

    Wire names that become one in any language all get a suffix made from the wire name, the same in every language, so
    that no call ever means another method than before.
    """
    wires = sorted(wire_names)
    bases = {wire: _method_base(wire) for wire in wires}
    counts = [Counter(convert(base) for base in bases.values()) for convert in _CONVERSIONS]
    clashing = {
        wire
        for wire, base in bases.items()
        if any(count[convert(base)] > 1 for convert, count in zip(_CONVERSIONS, counts, strict=True))
    }
    names = {wire: _converted(f"{base}_{_digest(wire)}" if wire in clashing else base) for wire, base in bases.items()}
    return names, [*_reserved_warnings(bases, names), *_clash_warnings(sorted(clashing), names)]


def field_names(
    wanted: Mapping[str, str], *, reserved: Collection[str] = (), convert: Callable[[str], str] = identifier
) -> dict[str, str]:
    """By wire name: the converted name, with `_` behind it as often as it is reserved or taken by an earlier field."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for wire, name in wanted.items():
        candidate = convert(name)
        while candidate in reserved or candidate in taken:
            candidate += "_"
        taken.add(candidate)
        made[wire] = candidate
    return made


def python_field_reserved(type_names: Iterable[str]) -> frozenset[str]:
    """What a field of a Python model must not be called: a member of BaseModel, or a name in its own annotations."""
    return _MODEL_ATTRIBUTES | RESERVED_TYPES | frozenset(type_names)


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]


def _away_from_keyword(name: str) -> str:
    return f"{name}_" if name in _PYTHON_NAMES else name


def _method_base(wire: str) -> str:
    joined = "_".join(_parts(wire))
    if not joined[:1].isalpha():
        joined = f"method_{joined}"
    reserved = joined.replace("_", "").lower() in RESERVED_METHODS or keyword.iskeyword(joined)
    return f"{joined}_method" if reserved else joined


def _snake(base: str) -> str:
    return base


_CONVERSIONS: tuple[Callable[[str], str], ...] = (_snake, camel, pascal)


def _converted(base: str) -> MethodNames:
    return MethodNames(python=_snake(base), typescript=camel(base), go=pascal(base))


def _digest(wire: str) -> str:
    return "x" + hashlib.sha256(wire.encode()).hexdigest()[:6]


def _reserved_warnings(bases: Mapping[str, str], names: Mapping[str, MethodNames]) -> Iterable[str]:
    for wire, base in bases.items():
        if base.endswith("_method") and not wire.endswith("method"):
            yield f"{wire!r} is a reserved name: it is called {names[wire].python} in the clients"


def _clash_warnings(clashing: Iterable[str], names: Mapping[str, MethodNames]) -> Iterable[str]:
    for wire in clashing:
        yield f"{wire!r} has the same name as another method after conversion: it is called {names[wire].python} in the clients"
