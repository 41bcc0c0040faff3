"""Stands for `pip install` in documentation: all that is asked for must be there already, in a version that fits."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COMPILERS = [Requirement(line).name for line in (ROOT / "scripts/proto-requirements.txt").read_text().splitlines()[1:]]
"""They have an environment of their own."""


def main(command: str, *arguments: str) -> None:
    assert command == "install", f"pip {command}"
    for requirement in requirements(list(arguments)):
        if requirement.name == PROJECT["name"]:
            assert requirement.extras <= set(PROJECT["optional-dependencies"]), f"{requirement} has unknown extras"
        elif requirement.name not in COMPILERS:
            assert version(requirement.name) in requirement.specifier, f"{requirement} is not installed"


def requirements(arguments: list[str]) -> list[Requirement]:
    lines = list(arguments)
    if "-r" in arguments:
        at = arguments.index("-r")
        lines[at : at + 2] = Path(arguments[at + 1]).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


if __name__ == "__main__":
    main(*sys.argv[1:])
