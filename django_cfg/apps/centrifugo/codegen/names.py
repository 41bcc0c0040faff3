"""Pure: what things are called in each language. Wire names never change; these are only the names in the source."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from django_cfg.apps.centrifugo.codegen.reserved import METHODS, PYTHON_KEYWORDS

__all__ = [
    "MethodNames",
    "camel",
    "capitalize",
    "field_names",
    "identifier",
    "method_names",
    "pascal",
]


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
    """`tasks.get_stats` -> `tasks_get_stats`; `field_` before what begins with no letter, `_` behind a keyword."""
    made = "_".join(_parts(name))
    made = made if made[:1].isalpha() else f"field_{made}".rstrip("_")
    trailing = "_" if name.endswith("_") and name.isidentifier() else ""
    made += trailing
    return f"{made}_" if made in PYTHON_KEYWORDS else made


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
    """By wire name: the converted name, with `_` behind it as often as it is reserved or taken.

    A field that needs no conversion comes before those that would only end up with its name.
    """
    made: dict[str, str] = {}
    taken: set[str] = set()
    for wire in sorted(wanted, key=lambda wire: convert(wanted[wire]) != wanted[wire]):
        candidate = convert(wanted[wire])
        while candidate in reserved or candidate in taken:
            candidate += "_"
        taken.add(candidate)
        made[wire] = candidate
    return made


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]


def _method_base(wire: str) -> str:
    joined = "_".join(_parts(wire))
    if not joined[:1].isalpha():
        joined = f"method_{joined}"
    reserved = joined.replace("_", "").lower() in METHODS or joined in PYTHON_KEYWORDS
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
        yield f"{wire!r} shares its name with another method: it is called {names[wire].python} in the clients"
