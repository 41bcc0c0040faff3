"""Vet, run and compare Go."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["declarations", "prepare_module", "run", "use_module", "vet"]

_IMPORTS = ("context", "encoding/json", "errors", "fmt", "log", "time")


def prepare_module(directory: Path) -> None:
    """The step that the generator prints for the user."""
    _check(["go", "mod", "tidy"], directory)


def use_module(directory: Path, module: str, path: str) -> None:
    """A program's module in `directory` that finds `module` in the folder `path` beside it."""
    needed = (directory / path / "go.mod").read_text().split("require", 1)[1]
    version = re.search(r"^go .*$", (directory / path / "go.mod").read_text(), re.MULTILINE)
    assert version is not None
    text = (
        f"module program\n\n{version[0]}\n\nrequire {module} v0.0.0\n\nreplace {module} => ./{path}\n\nrequire{needed}"
    )
    (directory / "go.mod").write_text(text)
    (directory / "go.sum").write_bytes((directory / path / "go.sum").read_bytes())


def vet(directory: Path, package: str = "./...") -> None:
    _check(["go", "vet", "-mod=mod", package], directory)


def run(directory: Path, package: str = ".") -> str:
    return _check(["go", "run", "-mod=mod", package], directory)


def with_imports(package: str, code: str, *imports: str) -> str:
    """A file around declarations without imports: it gets those of the standard library that it uses, and `imports`."""
    used = [f'"{path}"' for path in _IMPORTS if re.search(rf"\b{path.rpartition('/')[2]}\.", code)]
    lines = "".join(f"\t{line}\n" for line in [*used, *imports])
    return f"package {package}\n\nimport (\n{lines})\n\n{code}"


def declarations(source: str) -> dict[str, str]:
    """The structs of a source by name, with comments left out and white space made alike."""
    source = re.sub(r"//.*", "", source)
    found = re.findall(r"^type (\w+) (struct \{.*?^\})", source, re.DOTALL | re.MULTILINE)
    return {name: " ".join(body.split()) for name, body in found}


def _check(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
