"""Pure: the Python client: IR in, files out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join, render
from django_cfg.apps.centrifugo.codegen.escape import name, python_docstring, python_literal
from django_cfg.apps.centrifugo.codegen.ir import (
    NO_DEFAULT,
    Alias,
    Api,
    Enum,
    Field,
    Method,
    Model,
    Nullable,
    Ref,
    Tuple,
    references,
)
from django_cfg.apps.centrifugo.codegen.languages.common import HEADER, readme, runtime, sample, sample_fields, summary
from django_cfg.apps.centrifugo.codegen.languages.python_types import (
    BUILTINS,
    Annotations,
    is_constant,
    member_names,
    value,
)
from django_cfg.apps.centrifugo.codegen.names import MethodNames, field_names
from django_cfg.apps.centrifugo.codegen.reserved import MODEL_FIELDS

__all__ = ["render_python"]

_IMPORTS = (
    ("_base64", "import base64 as _base64"),
    ("_builtins", "import builtins as _builtins"),
    ("_datetime", "import datetime as _datetime"),
)
_FROM_IMPORTS = (
    ("decimal", ("Decimal",)),
    ("enum", ("IntEnum", "StrEnum")),
    ("typing", ("Annotated", "Any", "Literal", "Self", "TypeAlias")),
    ("uuid", ("UUID",)),
    ("pydantic", ("BaseModel", "BeforeValidator", "ConfigDict", "Field", "PlainSerializer", "RootModel")),
    ("typing_extensions", ("TypeAliasType",)),
)
_CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.Tuple)
_INLINE = re.compile(r"""None|True|False|-?[0-9.e+-]+|b?'.*'|b?".*"|[A-Za-z]\w*\.\w+""")
_NEEDS = {
    "_Base64": ("_base64", "Annotated", "Any", "BeforeValidator", "PlainSerializer"),
    "_IntEnum": ("IntEnum", "Self"),
    "_StrEnum": ("StrEnum", "Self"),
    "_Model": ("BaseModel", "ConfigDict"),
    "_Params": ("BaseModel", "ConfigDict"),
}


@dataclass(frozen=True, slots=True)
class _Class:
    """A class with members `name = value` or fields `name: type = value`, each whole in `lines`.

    `always` holds fields that are sent also when the caller did not set them.
    """

    name: Code
    base: Code
    docstring: Code
    lines: tuple[Code, ...] = ()
    always: Code = Code("")  # noqa: RUF009  # immutable, as str is


@dataclass(frozen=True, slots=True)
class _Call:
    name: Code
    wire: Code
    docstring: Code
    params: Code
    result: Code
    dumped: Code
    raw: Code
    read: Code


def render_python(api: Api, names: Mapping[str, MethodNames]) -> dict[PurePosixPath, str]:
    """The files below `python/`."""
    exported = ["APIClient", "CentrifugoRPCClient", "RPCError", "RPCErrorCode", "models"]
    types = sorted(found.name for found in api.definitions)
    init = {"types": [name(found) for found in types], "exported": [python_literal(e) for e in (*exported, *types)]}
    texts = {
        "__init__.py": render("python/__init__.py.j2", {"header": HEADER, **init}),
        "models.py": render("python/models.py.j2", {"header": HEADER, **_models(api)}),
        "rpc_client.py": runtime("python/rpc_client.py", comment="#"),
        "client.py": render("python/client.py.j2", {"header": HEADER, **_client(api, names)}),
        "requirements.txt": render("python/requirements.txt.j2", {"header": HEADER}),
        "README.md": _readme(api, names),
    }
    return {PurePosixPath(path): text for path, text in texts.items()}


def _client(api: Api, names: Mapping[str, MethodNames]) -> dict[str, Any]:
    calls = [_call(method, names[method.name]) for method in api.methods]
    used = {model for method in api.methods for model in (method.params, method.result) if model}
    untyped = any(None in (method.params, method.result) for method in api.methods)
    return {
        "calls": calls,
        "types": [name(model) for model in sorted(used)],
        "sends_models": any(method.params for method in api.methods),
        "reads_models": any(method.result for method in api.methods),
        "untyped": untyped,
    }


def _call(method: Method, names: MethodNames) -> _Call:
    wire = python_literal(method.name)
    params = _type_name(method.params)
    result = _type_name(method.result)
    return _Call(
        name=name(names.python),
        wire=wire,
        docstring=python_docstring(method.description or f"Call {method.name}.", indent=8),
        params=params,
        result=result,
        dumped=Code("_dump(params)") if method.params else Code("params"),
        raw=Code("result" if method.result else "result: dict[str, Any]"),
        read=code("_read({}, {}, result)", result, wire) if method.result else Code("result"),
    )


def _type_name(model: str | None) -> Code:
    return Code("dict[str, Any]") if model is None else name(model)


def _models(api: Api) -> dict[str, Any]:
    annotations = Annotations()
    enums = [_enum(found) for found in api.definitions if isinstance(found, Enum)]
    models = [_model(api, found, annotations) for found in api.definitions if isinstance(found, Model)]
    roots, aliases = _aliases(api, annotations)
    used = annotations.used | {found.base for found in (*enums, *models)}
    used |= {needed for found in used for needed in _NEEDS.get(found, ())}
    classes = {"enums": enums, "models": models, "roots": roots, "aliases": aliases}
    return {**classes, "used": used, "imports": _imports(used)}


def _imports(used: set[str]) -> list[Code]:
    """Plain ones first, the two installed packages behind a blank line."""
    lines = [Code(line) for needed, line in _IMPORTS if needed in used]
    for module, available in _FROM_IMPORTS:
        chosen = ", ".join(found for found in available if found in used)
        if chosen:
            lines.append(Code(f"from {module} import {chosen}"))
        if module == "uuid" and lines:
            lines.append(Code(""))
    return lines


def _enum(found: Enum) -> _Class:
    numbers = isinstance(found.members[0][1], int)
    labels = member_names(found)
    return _Class(
        name=name(found.name),
        base=Code("_IntEnum" if numbers else "_StrEnum"),
        docstring=_docstring(found.description),
        lines=tuple(code("{} = {}", labels[label], python_literal(wire)) for label, wire in found.members),
    )


def _model(api: Api, model: Model, annotations: Annotations) -> _Class:
    labels = _labels(api, model)
    shadowed = BUILTINS & frozenset(labels.values())
    lines = [_field(api, field, labels[field.wire_name], shadowed, annotations) for field in model.fields]
    return _Class(
        name=name(model.name),
        base=Code("_Params" if model.in_params and not model.in_results and not model.extra else "_Model"),
        docstring=_docstring(model.description),
        lines=tuple(lines),
        always=join(
            ", ",
            (python_literal(labels[each.wire_name]) for each in model.fields if _always_sent(api, each, annotations)),
        ),
    )


def _labels(api: Api, model: Model) -> dict[str, str]:
    """By wire name: a field's name, which is no member of BaseModel and no name in the annotations beside it."""
    wanted = {field.wire_name: field.py_name for field in model.fields}
    return field_names(wanted, reserved=MODEL_FIELDS | api.by_name.keys())


def _always_sent(api: Api, field: Field, annotations: Annotations) -> bool:
    """Tags, because the server needs them; lists and the like, because they can be filled in place."""
    if field.default is NO_DEFAULT or value(api, field.type, field.default, annotations) is None:
        return False  # the server has its own
    inner = field.type.item if isinstance(field.type, Nullable) else field.type
    return is_constant(inner) or (isinstance(field.default, list | dict) and not isinstance(inner, Tuple))


def _field(api: Api, field: Field, label: str, shadowed: frozenset[str], annotations: Annotations) -> Code:
    default = None if field.default is NO_DEFAULT else value(api, field.type, field.default, annotations)
    written = annotations.write(field.type, shadowed)
    if default is None and not field.required:
        default = Code("None")
        written = written if isinstance(field.type, Nullable) else code("{} | None", written)
    arguments = _field_arguments(field, label, default)
    if default is not None and _is_filled(default):
        return _filled_field(label, written, arguments[1:], default, annotations)
    if arguments and (len(arguments) > 1 or not _inline(default)):
        annotations.used.add("Field")
        return code("{}: {} = Field({})", name(label), written, join(", ", arguments))
    bare = code("{}: {}", name(label), written)
    return bare if default is None else code("{} = {}", bare, default)


def _filled_field(label: str, written: Code, arguments: list[Code], default: Code, annotations: Annotations) -> Code:
    """Its default stands alone, or type checkers would not see what is meant; pydantic copies it for each object."""
    if arguments:
        annotations.used |= {"Annotated", "Field"}
        written = code("Annotated[{}, Field({})]", written, join(", ", arguments))
    return code("{}: {} = {}", name(label), written, default)


def _is_filled(default: Code) -> bool:
    """Whether it is a list or the like with items, all of them constants or members of enums."""
    found = ast.parse(default, mode="eval").body
    return isinstance(found, _CONTAINERS) and len(default) > len("()") and all(map(_is_constant, ast.walk(found)))


def _is_constant(node: ast.AST) -> bool:
    return isinstance(node, (*_CONTAINERS, ast.Constant, ast.UnaryOp, ast.USub, ast.Attribute, ast.Name, ast.Load))


def _inline(default: Code | None) -> bool:
    """Whether the expression names nothing but a member of an enum, and so may be evaluated while the class is made."""
    return default is not None and _INLINE.fullmatch(default) is not None


def _field_arguments(field: Field, label: str, default: Code | None) -> list[Code]:
    arguments: list[Code] = []
    if default is not None:
        keyword = Code("default=" if _inline(default) else "default_factory=lambda: ")
        arguments.append(code("{}{}", keyword, default))
    if field.wire_name != label:
        wire = python_literal(field.wire_name)
        arguments.append(code("validation_alias={}, serialization_alias={}", wire, wire))
    if field.description:
        arguments.append(code("description={}", python_literal(field.description)))
    if field.deprecated:
        arguments.append(Code("deprecated=True"))
    return arguments


def _docstring(text: str) -> Code:
    return python_docstring(text, indent=4) if text else Code("")


def _aliases(api: Api, annotations: Annotations) -> tuple[list[_Class], list[Code]]:
    """Root models, and statements for the other aliases, each after those that it names."""
    todo = [found for found in api.definitions if isinstance(found, Alias)]
    roots: list[_Class] = []
    statements: list[Code] = []
    while todo:
        waiting = frozenset(found.name for found in todo)
        ready = next((found for found in todo if not references(found) & waiting), None)
        found = ready or todo[0]
        todo.remove(found)
        if found.root:
            roots.append(_root(found, annotations, complete=ready is not None))
        else:
            statements.append(_alias(found, annotations, complete=ready is not None))
    return roots, statements


def _root(found: Alias, annotations: Annotations, *, complete: bool) -> _Class:
    written = annotations.write(found.type)
    annotations.used.update({"RootModel", "Any"} if not complete else {"RootModel"})
    return _Class(
        name=name(found.name),
        base=code("RootModel[{}]", written if complete else Code("Any")),
        docstring=_docstring(found.description),
        lines=() if complete else (code("root: {}", written),),
    )


def _alias(found: Alias, annotations: Annotations, *, complete: bool) -> Code:
    written = annotations.write(found.type)
    annotations.used.add("TypeAlias" if complete else "TypeAliasType")
    if complete:
        return code("{}: TypeAlias = {}", name(found.name), written)
    label = name(found.name)
    return code("{} = TypeAliasType({}, {})", label, python_literal(found.name), python_literal(str(written)))


def _readme(api: Api, names: Mapping[str, MethodNames]) -> str:
    methods = [
        summary(m, code("{}(params: {}) -> {}", name(names[m.name].python), _type_name(m.params), _type_name(m.result)))
        for m in api.methods
    ]
    first = api.methods[0]
    annotations = Annotations()
    params = _example_params(api, first.params, annotations)
    values = {
        "types": [name(found) for found in sorted(annotations.used & api.by_name.keys())],
        "imports": [line for line in _imports(annotations.used) if line],
    }
    return readme("python", methods, code("await api.{}({})", name(names[first.name].python), params), values)


def _example_params(api: Api, params: str | None, annotations: Annotations) -> Code:
    if params is None:
        return Code("{}")
    annotations.used.add(params)
    model = api.by_name[params]
    if not isinstance(model, Model):
        return value(api, Ref(params), sample(api, Ref(params)), annotations) or code("{}(...)", name(params))
    labels = _labels(api, model)
    types = {field.wire_name: field.type for field in model.fields}
    shown = sample_fields(api, model.name)
    written = {wire: value(api, types[wire], found, annotations) for wire, found in shown.items()}
    arguments: Iterable[Code] = (code("{}={}", name(labels[w]), v) for w, v in written.items() if v is not None)
    return code("{}({})", name(model.name), join(", ", arguments))
