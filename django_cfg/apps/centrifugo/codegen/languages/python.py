"""Pure: the Python client: IR in, files out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join, render
from django_cfg.apps.centrifugo.codegen.escape import name, python_docstring, python_literal
from django_cfg.apps.centrifugo.codegen.ir import NO_DEFAULT, Alias, Api, Enum, Field, Method, Model, Type, references
from django_cfg.apps.centrifugo.codegen.languages.common import HEADER, readme, runtime
from django_cfg.apps.centrifugo.codegen.languages.python_types import BUILTINS, Annotations, is_constant, value
from django_cfg.apps.centrifugo.codegen.names import MethodNames, field_names, identifier, python_field_reserved

__all__ = ["render_python"]


@dataclass(frozen=True, slots=True)
class _Line:
    """One field: `name: type` and what follows."""

    name: Code
    type: Code
    assigned: Code


@dataclass(frozen=True, slots=True)
class _Class:
    name: Code
    base: Code
    docstring: Code
    lines: tuple[_Line, ...]
    constants: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    name: Code
    wire: Code
    docstring: Code
    params: Code
    result: Code
    typed_params: bool
    typed_result: bool


def render_python(api: Api, names: Mapping[str, MethodNames]) -> dict[PurePosixPath, str]:
    """The files below `python/`."""
    client = {"header": HEADER, "calls": [_call(method, names[method.name]) for method in api.methods]}
    client["models"] = [name(found) for found in _used_models(api)]
    exported = sorted(definition.name for definition in api.definitions)
    init = {"header": HEADER, "models": [name(found) for found in exported]}
    init["exported"] = [
        python_literal(found)
        for found in sorted([*exported, "APIClient", "CentrifugoRPCClient", "RPCError", "RPCErrorCode", "models"])
    ]
    return {
        PurePosixPath("__init__.py"): render("python/__init__.py.j2", init),
        PurePosixPath("models.py"): render("python/models.py.j2", _models(api)),
        PurePosixPath("rpc_client.py"): runtime("python/rpc_client.py", comment="#"),
        PurePosixPath("client.py"): render("python/client.py.j2", client),
        PurePosixPath("requirements.txt"): render("python/requirements.txt.j2", {"header": HEADER}),
        PurePosixPath("README.md"): readme("python", api, names, _example(api, names)),
    }


def _models(api: Api) -> dict[str, Any]:
    annotations = Annotations()
    enums = [_enum(found, annotations) for found in api.definitions if isinstance(found, Enum)]
    models = [_model(api, found, annotations) for found in api.definitions if isinstance(found, Model)]
    aliases = _aliases(api, annotations)
    bases = {found.base for found in (*enums, *models)}
    return {
        "header": HEADER,
        "enums": enums,
        "models": models,
        "aliases": aliases,
        "bases": bases,
        "used": annotations.used,
        "typing": [Code(found) for found in sorted({"Any", "Literal"} & annotations.used)],
    }
