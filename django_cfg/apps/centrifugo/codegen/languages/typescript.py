"""Pure: the TypeScript client: IR in, files out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join, render
from django_cfg.apps.centrifugo.codegen.escape import (
    json_text,
    name,
    typescript_comment,
    typescript_key,
    typescript_literal,
)
from django_cfg.apps.centrifugo.codegen.ir import (
    Alias,
    Api,
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
)
from django_cfg.apps.centrifugo.codegen.json_values import is_array, is_object
from django_cfg.apps.centrifugo.codegen.languages.common import HEADER, readme, runtime, sample, sample_fields, summary
from django_cfg.apps.centrifugo.codegen.names import MethodNames

__all__ = ["render_typescript"]

_SCALARS = {Kind.INT: "number", Kind.FLOAT: "number", Kind.BOOL: "boolean"}
_UNTYPED = Code("Record<string, unknown>")

# No version: TypeScript takes two packages of one name and version for one, and a project may hold two clients.
_PACKAGE = {
    "//": str(HEADER),
    "name": "centrifugo-client",
    "private": True,
    "type": "module",
    "sideEffects": False,
    "exports": {".": {"types": "./dist/index.d.ts", "default": "./dist/index.js"}},
    "scripts": {"build": "tsc"},
    "dependencies": {"centrifuge": "5.8.0"},
    "devDependencies": {"typescript": "5.9.3"},
}


@dataclass(frozen=True, slots=True)
class _Declaration:
    """`lines` are the properties of an interface or the members of an enum, each whole."""

    name: Code
    comment: Code
    lines: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class _Alias:
    name: Code
    comment: Code
    type: Code


@dataclass(frozen=True, slots=True)
class _Call:
    name: Code
    wire: Code
    comment: Code
    params: Code
    result: Code


def render_typescript(api: Api, names: Mapping[str, MethodNames]) -> dict[PurePosixPath, str]:
    """The files below `typescript/`."""
    used = sorted({model for method in api.methods for model in (method.params, method.result) if model})
    client = {"calls": [_call(m, names[m.name]) for m in api.methods], "types": [name(model) for model in used]}
    texts = {
        "index.ts": render("typescript/index.ts.j2", {"header": HEADER}),
        "types.ts": render("typescript/types.ts.j2", {"header": HEADER, **_types(api)}),
        "rpc-client.ts": runtime("typescript/rpc-client.ts", comment="//"),
        "client.ts": render("typescript/client.ts.j2", {"header": HEADER, **client}),
        "package.json": f"{json_text(_PACKAGE)}\n",
        "tsconfig.json": render("typescript/tsconfig.json.j2", {"header": HEADER}),
        "README.md": _readme(api, names),
    }
    return {PurePosixPath(path): text for path, text in texts.items()}


def type_expression(of: Type) -> Code:
    match of:
        case Scalar(kind):
            return Code(_SCALARS.get(kind, "string"))
        case Open():
            return Code("any")
        case Ref(target):
            return name(target)
        case Nullable(item):
            return code("{} | null", type_expression(item))
        case Literal(values):
            return join(" | ", map(typescript_literal, values))
        case Union(items):
            return join(" | ", _distinct(map(type_expression, items)))
        case List(item) | Set(item):
            return code("{}[]", _grouped(item))
        case Tuple(items):
            return code("[{}]", join(", ", map(type_expression, items)))
        case Map():
            return _map(of)


def _distinct(parts: Any) -> list[Code]:
    """In order; datetime and text, say, are both `string`."""
    return list(dict.fromkeys(parts))


def _grouped(item: Type) -> Code:
    written = type_expression(item)
    return code("({})", written) if " | " in written and isinstance(item, Nullable | Union | Literal) else written


def _map(of: Map) -> Code:
    found = type_expression(of.value)
    if isinstance(of.key, Ref | Literal):
        return code("{{ [key in {}]?: {} }}", type_expression(of.key), found)
    key = Code("number") if of.key in (Scalar(Kind.INT), Scalar(Kind.FLOAT)) else Code("string")
    return code("{{ [key: {}]: {} }}", key, found)


def _types(api: Api) -> dict[str, Any]:
    found = api.definitions
    return {
        "enums": [_enum(enum) for enum in found if isinstance(enum, Enum)],
        "models": [_model(model) for model in found if isinstance(model, Model)],
        "aliases": [
            _Alias(name(alias.name), _comment(alias.description, indent=0), type_expression(alias.type))
            for alias in found
            if isinstance(alias, Alias)
        ],
    }


def _enum(found: Enum) -> _Declaration:
    members = (code("{}: {},", typescript_key(label), typescript_literal(wire)) for label, wire in found.members)
    return _Declaration(name(found.name), _comment(found.description, indent=0), tuple(members))


def _model(found: Model) -> _Declaration:
    lines: list[Code] = []
    for field in found.fields:
        comment = _comment(field.description, indent=2, deprecated=field.deprecated)
        lines.extend(line for line in (comment, _property(field)) if line)
    if found.extra:
        lines.append(Code("[key: string]: any;"))
    comment = _comment(found.description, indent=0, deprecated=found.deprecated)
    return _Declaration(name(found.name), comment, tuple(lines))


def _property(field: Field) -> Code:
    mark = Code("" if field.required else "?")
    return code("{}{}: {};", typescript_key(field.wire_name), mark, type_expression(field.type))


def _comment(text: str, *, indent: int, deprecated: bool = False) -> Code:
    lines = [line for line in (text.strip(), "@deprecated" if deprecated else "") if line]
    return typescript_comment("\n".join(lines), indent) if lines else Code("")


def _call(method: Method, names: MethodNames) -> _Call:
    return _Call(
        name=name(names.typescript),
        wire=typescript_literal(method.name),
        comment=_comment(method.description or f"Calls {method.name}.", indent=2),
        params=_type_name(method.params),
        result=_type_name(method.result),
    )


def _type_name(model: str | None) -> Code:
    return _UNTYPED if model is None else name(model)


def _readme(api: Api, names: Mapping[str, MethodNames]) -> str:
    methods = [
        summary(
            m,
            code(
                "{}(params: {}, options?: CallOptions): Promise<{}>",
                name(names[m.name].typescript),
                _type_name(m.params),
                _type_name(m.result),
            ),
        )
        for m in api.methods
    ]
    first = api.methods[0]
    params: Any = {} if first.params is None else _example_params(api, first.params)
    example = code("api.{}({})", name(names[first.name].typescript), _inline_value(params))
    return readme("typescript", methods, example, {})


def _example_params(api: Api, params: str) -> Any:
    return sample_fields(api, params) if isinstance(api.by_name[params], Model) else sample(api, Ref(params))


def _inline_value(found: Any) -> Code:
    """A JSON value as one would write it in TypeScript, keys bare where they can be."""
    if is_object(found):
        pairs = [code("{}: {}", typescript_key(key), _inline_value(item)) for key, item in found.items()]
        return code("{{ {} }}", join(", ", pairs)) if pairs else Code("{}")
    if is_array(found):
        return code("[{}]", join(", ", map(_inline_value, found)))
    return typescript_literal(found)
