"""The lock: one JSON Schema 2020-12 document of all methods, in which every definition has its final name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django_cfg.apps.centrifugo.codegen.names import RESERVED_TYPES, capitalize, pascal
from django_cfg.apps.centrifugo.codegen.schema import Roots, definitions
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["PREFIX", "build", "references"]

PREFIX = "#/$defs/"
_SIDES = ("-Input", "-Output")
_NAMED = frozenset({"$defs", "properties", "patternProperties", "x-methods"})
_DATA = frozenset({"default", "const", "enum", "examples"})


def build(methods: Iterable[RPCMethodInfo]) -> dict[str, Any]:
    """`$defs` with every type, `x-methods` with every method; raises GenerationError."""
    ordered = sorted(methods, key=lambda method: method.name)
    roots, defs = definitions(ordered)
    names = _final_names(defs, roots)
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {names[key]: defs[key] for key in sorted(defs, key=lambda key: names[key])},
        "x-methods": {method.name: _method(method, roots) for method in ordered},
    }
    renamed: dict[str, Any] = _map_references(document, lambda key: names[key])
    return renamed


def references(schema: Mapping[str, Any]) -> Iterable[str]:
    """The definitions that a schema refers to, each as often as it does."""
    found: list[str] = []

    def note(ref: str) -> str:
        found.append(ref)
        return ref

    _map_references(schema, note)
    return found


def _method(method: RPCMethodInfo, roots: Roots) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if method.docstring:
        described["description"] = method.docstring
    if method.params_model is not None:
        described["params"] = roots[method.params_model, "validation"]
    if method.result_model is not None:
        described["result"] = roots[method.result_model, "serialization"]
    if method.idempotent:
        described["idempotent"] = True
    return described


def _final_names(defs: Mapping[str, Mapping[str, Any]], roots: Roots) -> dict[str, str]:
    """By key: the Python name; with the places where they differ when two types share it; with Input or Output on the
    side that is used less when the two sides differ."""
    places = {_base(key): _place(key, schema) for key, schema in defs.items()}
    plain = _distinct(places)
    uses = Counter(ref for schema in (*defs.values(), *roots.values()) for ref in references(schema))
    names = {key: plain[_base(key)] + _side(key, uses) for key in defs}
    return _without_clashes(names)


def _base(key: str) -> str:
    for side in _SIDES:
        key = key.removesuffix(side)
    return key


def _side(key: str, uses: Mapping[str, int]) -> str:
    if not key.endswith(_SIDES):
        return ""
    base = _base(key)
    more_used = "-Input" if uses.get(base + "-Input", 0) > uses.get(base + "-Output", 0) else "-Output"
    return "" if key.endswith(more_used) else key.removeprefix(base).removeprefix("-")


def _place(key: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Module and qualified name in parts, the name itself last, each fit for an identifier."""
    if "x-name" not in schema:
        return tuple(part for part in re.split(r"__+", _base(key)) if part) or (key,)
    inside = schema["x-qualname"].removesuffix(schema["x-name"]).replace("<locals>", "")
    parts = [*schema["x-module"].split("."), *inside.split("."), schema["x-name"]]
    return tuple(part for part in parts if part)


def _distinct(places: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    groups: dict[str, list[str]] = {}
    for base in sorted(places):
        groups.setdefault(_identifier(places[base][-1]), []).append(base)
    return {
        base: _qualified(places[base], [places[other] for other in group])
        for group in groups.values()
        for base in group
    }


def _qualified(place: tuple[str, ...], group: Sequence[tuple[str, ...]]) -> str:
    """The name, preceded by the parts of its place that not all of the group share."""
    own = "".join(pascal(part) for part in place[:-1] if len(group) > 1 and any(part not in other for other in group))
    return own + _identifier(place[-1])


def _identifier(name: str) -> str:
    """`Page[Cat]` -> `PageCat`; a name that the clients need for themselves gets `Model` behind it."""
    made = name if name.isascii() and name.isidentifier() and not name.startswith("_") else pascal(name)
    made = capitalize(made) if made[:1].isalpha() else f"Type{made}"
    return f"{made}Model" if made in RESERVED_TYPES else made


def _without_clashes(names: Mapping[str, str]) -> dict[str, str]:
    """Go exports only what begins with a capital, so `task` and `Task` clash as well."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for key in sorted(names, key=lambda key: (key.endswith(_SIDES), key)):
        name, number = names[key], 2
        while capitalize(name) in taken:
            name, number = f"{names[key]}{number}", number + 1
        taken.add(capitalize(name))
        made[key] = name
    return made


def _map_references(schema: Any, change: Callable[[str], str]) -> Any:
    """The same schema with every reference changed; data inside (defaults, enum values, examples) is left alone."""
    if isinstance(schema, list):
        items: list[Any] = schema
        return [_map_references(item, change) for item in items]
    if not isinstance(schema, Mapping):
        return schema
    found: Mapping[str, Any] = schema
    return {key: _map_entry(key, value, change) for key, value in found.items()}


def _map_entry(key: str, value: Any, change: Callable[[str], str]) -> Any:
    if key == "$ref" and isinstance(value, str):
        return PREFIX + change(value.removeprefix(PREFIX))
    if key in _NAMED and isinstance(value, Mapping):
        named: Mapping[str, Any] = value
        return {name: _map_references(schema, change) for name, schema in named.items()}
    if key == "discriminator" and isinstance(value, Mapping):
        mapping: Mapping[str, str] = value.get("mapping", {})
        return {**value, "mapping": {tag: PREFIX + change(ref.removeprefix(PREFIX)) for tag, ref in mapping.items()}}
    return value if key in _DATA else _map_references(value, change)
