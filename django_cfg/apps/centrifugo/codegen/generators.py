"""From methods to the files of each language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from django_cfg.apps.centrifugo.codegen import document, write
from django_cfg.apps.centrifugo.codegen.escape import json_text
from django_cfg.apps.centrifugo.codegen.ir import Api
from django_cfg.apps.centrifugo.codegen.languages.go import render_go
from django_cfg.apps.centrifugo.codegen.languages.python import render_python
from django_cfg.apps.centrifugo.codegen.languages.typescript import render_typescript
from django_cfg.apps.centrifugo.codegen.lower import lower
from django_cfg.apps.centrifugo.codegen.names import MethodNames, method_names
from django_cfg.errors import GenerationError
from django_cfg.rpc.method import RPCMethodInfo

__all__ = [
    "DEFAULT_GO_MODULE",
    "LANGUAGES",
    "LOCK",
    "GoThinGenerator",
    "Plan",
    "PythonThinGenerator",
    "TypeScriptThinGenerator",
    "make_plan",
]

Files = dict[PurePosixPath, str]
Names = Mapping[str, MethodNames]

LANGUAGES = {"python": "Python", "typescript": "TypeScript", "go": "Go"}
"""Directory below the output, and title, in the order in which they are generated."""

LOCK = PurePosixPath("rpc.lock.json")
DEFAULT_GO_MODULE = "clients/go"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be written: files by language below its directory, the lock, and warnings about names."""

    languages: dict[str, Files]
    lock: str
    warnings: list[str]

    def files(self) -> Files:
        """Everything, relative to the output."""
        found = {language / path: text for language, path, text in self._each()}
        return {**found, LOCK: self.lock}

    def _each(self) -> Iterable[tuple[PurePosixPath, PurePosixPath, str]]:
        for language, files in self.languages.items():
            for path, text in files.items():
                yield PurePosixPath(language), path, text


def make_plan(
    methods: Iterable[RPCMethodInfo], languages: Iterable[str], *, go_module: str = DEFAULT_GO_MODULE
) -> Plan:
    """Pure; raises GenerationError."""
    locked = document.build(methods)
    api = lower(locked)
    if not api.methods:
        raise GenerationError("there is no method to generate clients for")
    names, warnings = method_names(method.name for method in api.methods)
    renderers: dict[str, Callable[[Api, Names], Files]] = {
        "python": render_python,
        "typescript": render_typescript,
        "go": lambda api, names: render_go(api, names, go_module),
    }
    chosen = {language: renderers[language](api, names) for language in LANGUAGES if language in set(languages)}
    return Plan(chosen, f"{json_text(locked)}\n", warnings)


class _ThinGenerator:
    language: ClassVar[str]

    def __init__(self, methods: Iterable[RPCMethodInfo]) -> None:
        self.methods = list(methods)

    def generate(self, output_dir: str | Path) -> list[Path]:
        """Write the client's files into `output_dir` itself, and return their paths; raises GenerationError."""
        files = make_plan(self.methods, [self.language]).languages[self.language]
        write.write_files(Path(output_dir), files)
        return [Path(output_dir, path) for path in files]


class PythonThinGenerator(_ThinGenerator):
    language = "python"


class TypeScriptThinGenerator(_ThinGenerator):
    language = "typescript"


class GoThinGenerator(_ThinGenerator):
    language = "go"
