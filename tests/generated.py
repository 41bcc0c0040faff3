"""Clients generated into a directory of a test's own, and the programs that compile them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.golden_update import CASES, plan

TESTS = Path(__file__).parent
NODE_MODULES = TESTS / "node" / "node_modules"
SECONDS = 300


def tool(name: str, path: str | None = None) -> str:
    """Its path; without it the test is skipped, but fails in CI."""
    found = shutil.which(name, path=path)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed, and CI compiles the generated clients")
    return found or pytest.skip(f"{name} is not installed: the generated clients are not compiled")


def run(command: Sequence[str], cwd: Path, stdin: str | None = None) -> str:
    """What it printed; fails with exactly that."""
    environment = {**os.environ, "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def write_language(language: str, root: Path) -> list[Path]:
    """Every case's client of a language, each in `client_<case>`."""
    for case in CASES:
        for path, text in plan(case).languages[language].items():
            target = root / f"client_{case}" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    return [root / f"client_{case}" for case in CASES]


def write_go_module(root: Path) -> None:
    """All cases as packages of one module, whose go.mod is a generated one."""
    for package in write_language("go", root):
        (package / "go.mod").replace(root / "go.mod")
    shutil.copy(TESTS / "go" / "go.sum", root / "go.sum")
