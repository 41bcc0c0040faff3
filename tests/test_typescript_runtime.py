"""The TypeScript base client: compiled as users compile it, run against a scripted server by `tests/node/runtime`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "node"
INSTALL = "npm ci --prefix tests/node"
FAILURES = "failing tests:"
SECONDS = 300


@pytest.fixture(scope="module")
def node() -> str:
    """The Node program, where it and the packages of `tests/node` are installed."""
    found = shutil.which("node")
    missing = "Node is not installed" if found is None else f"tests/node/node_modules is missing: {INSTALL}"
    if found is not None and (TESTS / "node_modules").is_dir():
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{missing} (CI checks the TypeScript client)")
    pytest.skip(f"the TypeScript client is not checked: {missing}")


def run(*command: str) -> None:
    """Fails with what the command printed, from where it lists the failing tests on if it does."""
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        output = done.stdout + done.stderr
        _, heading, failures = output.rpartition(FAILURES)
        pytest.fail(f"{' '.join(command)}\n{heading}{failures}", pytrace=False)


def test_it_is_strictly_typed(node: str) -> None:
    """Without Node's types and with the oldest library, as in a browser project."""
    run(node, "node_modules/typescript/bin/tsc", "-p", "tsconfig.runtime.json")


def test_its_tests_are_strictly_typed(node: str) -> None:
    run(node, "node_modules/typescript/bin/tsc", "-p", "tsconfig.json")


def test_it_behaves(node: str) -> None:
    run(node, "run.mjs", "runtime", "--test-reporter=spec")
