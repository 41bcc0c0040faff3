"""Pure: the Go client: IR in, files out, formatted as gofmt formats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join, render
from django_cfg.apps.centrifugo.codegen.escape import go_comment, go_string, name
from django_cfg.apps.centrifugo.codegen.ir import (
    Alias,
    Api,
    Enum,
    Method,
    Model,
    references,
)
from django_cfg.apps.centrifugo.codegen.languages.common import HEADER, readme, runtime, sample_fields, summary
from django_cfg.apps.centrifugo.codegen.languages.go_structs import Row, Struct, aligned, labels_of, struct
from django_cfg.apps.centrifugo.codegen.languages.go_types import GoTypes, GoUnion
from django_cfg.apps.centrifugo.codegen.languages.go_values import value
from django_cfg.apps.centrifugo.codegen.names import MethodNames, pascal
from django_cfg.errors import GenerationError

__all__ = ["render_go"]

_PARTS = {"Date": "date", "Duration": "duration", "NaiveDateTime": "naive_datetime", "Base64": "base64"}
_PART_IMPORTS = {
    "base64": ("encoding/base64", "encoding/json", "strings"),
    "date": ("encoding/json", "time"),
    "duration": ("encoding/json", "fmt", "regexp", "strconv", "strings", "time"),
    "force_send": ("encoding/json", "fmt"),
    "naive_datetime": ("encoding/json", "time"),
    "tuples": ("encoding/json", "fmt"),
    "unions": ("encoding/json", "sort"),
    "zones": ("encoding/json", "regexp"),
}


@dataclass(frozen=True, slots=True)
class _Named:
    name: Code
    comment: Code
    type: Code
    lines: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    name: Code
    wire: Code
    comment: Code
    interface_comment: Code
    params: Code
    result: Code
    returned: Code
    returns: Code
    empty: Code


def render_go(api: Api, names: Mapping[str, MethodNames], module: str) -> dict[PurePosixPath, str]:
    """The files below `go/`; raises GenerationError for a module path that Go would refuse."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", module):
        raise GenerationError(f"{module!r} is no module path of Go; write --go-module example.com/team/client")
    types = GoTypes(api)
    texts = {
        "types.go": render("go/types.go.j2", {"header": HEADER, **_types(api, types)}),
        "rpc_client.go": runtime("go/rpc_client.go", comment="//"),
        "client.go": render("go/client.go.j2", {"header": HEADER, "calls": _calls(api, names, types)}),
        "go.mod": render("go/go.mod.j2", {"header": HEADER, "module": Code(module)}),
        "README.md": _readme(api, names, module),
    }
    return {PurePosixPath(path): text for path, text in texts.items()}


def _types(api: Api, types: GoTypes) -> dict[str, Any]:
    taken = set(api.by_name)
    enums = [_enum(found, taken) for found in api.definitions if isinstance(found, Enum)]
    structs = [struct(found, types) for found in api.definitions if isinstance(found, Model)]
    aliases = [_alias(found, types) for found in api.definitions if isinstance(found, Alias)]
    unions = sorted(types.unions.values(), key=lambda union: union.name)
    parts = _parts(types, structs, unions)
    return {
        "enums": enums,
        "structs": structs,
        "definitions": [alias for alias in aliases if alias is not None],
        "unions": [_union(union) for union in unions],
        "arities": [_arity(need) for need in sorted(types.needs) if need.startswith("Tuple")],
        "parts": [f"go/parts/{part}.go.j2" for part in parts],
        "imports": [Code(f'"{path}"') for path in _imports(types, structs, parts)],
    }


def _union(union: GoUnion) -> dict[str, Any]:
    rows = [Row(Code(""), found.name, code("*{}", found.type), Code("")) for found in union.variants]
    rows.append(Row(Code(""), Code("Raw"), Code("json.RawMessage"), Code("")))
    return {"name": union.name, "tag": union.tag, "variants": union.variants, "lines": aligned(rows)}


def _parts(types: GoTypes, structs: Sequence[Struct], unions: Sequence[GoUnion]) -> list[str]:
    parts = {_PARTS[need] for need in types.needs if need in _PARTS}
    wanted = {
        "force_send": any(made.forced for made in structs),
        "zones": any(made.times for made in structs),
        "unions": bool(unions),
        "tuples": any(need.startswith("Tuple") for need in types.needs),
    }
    return sorted(parts | {part for part, needed in wanted.items() if needed})


def _imports(types: GoTypes, structs: Sequence[Struct], parts: Sequence[str]) -> list[str]:
    paths = {path for part in parts for path in _PART_IMPORTS[part]}
    if "time" in types.needs:
        paths.add("time")
    if any(made.constants or made.empties or made.times or made.forced for made in structs):
        paths.add("encoding/json")
    return sorted(paths)


def _arity(need: str) -> dict[str, Any]:
    letters = [Code(f"T{index}") for index in range(int(need.removeprefix("Tuple")))]
    return {
        "name": Code(need),
        "parameters": join(", ", letters),
        "fields": [(Code(f"V{letter.removeprefix('T')}"), letter) for letter in letters],
        "size": Code(str(len(letters))),
    }


def _enum(found: Enum, taken: set[str]) -> _Named:
    labels: dict[str, str] = {}
    for label, _ in found.members:
        wanted = found.name + _member(label)
        while wanted in taken:
            wanted += "Value"
        taken.add(wanted)
        labels[label] = wanted
    width = max(map(len, labels.values()))
    lines = (
        code("{} {} = {}", Code(labels[label].ljust(width)), name(found.name), _literal(wire))
        for label, wire in found.members
    )
    kind = Code("int64" if isinstance(found.members[0][1], int) else "string")
    comment = _comment(found.name, found.description, "is one of a few values.")
    return _Named(name(found.name), comment, kind, tuple(lines))


def _member(label: str) -> str:
    """`IN_PROGRESS` -> `InProgress`; a label that is not all capitals keeps its own."""
    return pascal(label.lower() if label.isupper() else label) or "Member"


def _literal(wire: str | int | float | bool) -> Code:
    if isinstance(wire, str):
        return go_string(wire)
    return Code(str(wire).lower())


def _comment(label: str, text: str, otherwise: str) -> Code:
    return go_comment(text if text.strip() else f"{label} {otherwise}", 0)


def _alias(found: Alias, types: GoTypes) -> _Named | None:
    """None for a union, whose struct has the alias's name. A real alias keeps the methods of its type; one that
    contains itself has to be a type of its own."""
    written = types.write(found.type)
    if written in (found.name, f"*{found.name}"):
        return None
    own = Code("" if _contains_itself(found, types) else "= ")
    comment = _comment(found.name, found.description, "is a named type.")
    return _Named(name(found.name), comment, code("{}{}", own, written))


def _contains_itself(found: Alias, types: GoTypes) -> bool:
    seen: set[str] = set()
    todo = set(references(found))
    while todo:
        target = todo.pop()
        inner = types.alias(target)
        if inner is not None and target not in seen:
            seen.add(target)
            todo |= references(inner)
    return found.name in seen


def _calls(api: Api, names: Mapping[str, MethodNames], types: GoTypes) -> list[_Call]:
    return [_call(method, names[method.name].go, types) for method in api.methods]


def _call(method: Method, label: str, types: GoTypes) -> _Call:
    about = f"{label} calls {method.name}."
    text = f"{about}\n\n{method.description}" if method.description else about
    untyped = Code("map[string]any")
    result = untyped if method.result is None else name(method.result)
    nil_params = method.params is None or types.is_collection_named(method.params)
    params = untyped if method.params is None else name(method.params)
    return _Call(
        name=name(label),
        wire=go_string(method.name),
        comment=go_comment(text, 0),
        interface_comment=go_comment(text, 1),
        params=params,
        result=result,
        returned=result if method.result is None else code("*{}", result),
        returns=Code("result" if method.result is None else "&result"),
        empty=code("{}{{}}", params) if nil_params else Code(""),
    )


def _readme(api: Api, names: Mapping[str, MethodNames], module: str) -> str:
    methods = [summary(method, _signature(method, names[method.name].go)) for method in api.methods]
    first = api.methods[0]
    example = code("api.{}(ctx, {})", name(names[first.name].go), _example_params(api, first.params))
    return readme("go", methods, example, {"module": Code(module)})


def _signature(method: Method, label: str) -> Code:
    params = Code("map[string]any") if method.params is None else name(method.params)
    result = Code("map[string]any") if method.result is None else code("*{}", name(method.result))
    return code("{}(ctx context.Context, params {}, opts ...CallOption) ({}, error)", name(label), params, result)


def _example_params(api: Api, params: str | None) -> Code:
    if params is None:
        return Code("map[string]any{}")
    model = api.by_name[params]
    if not isinstance(model, Model):
        return code("client.{}{{}}", name(params))
    labels, types = labels_of(model), {field.wire_name: field.type for field in model.fields}
    written = {wire: value(api, types[wire], found) for wire, found in sample_fields(api, params).items()}
    entries = (code("{}: {}", name(labels[wire]), found) for wire, found in written.items() if found is not None)
    return code("client.{}{{{}}}", name(params), join(", ", entries))
