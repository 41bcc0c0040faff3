"""Every golden case compiles without a word: mypy --strict and pyright, tsc --strict, gofmt and go vet."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path, PurePosixPath

import pytest

from tests.generated import NODE_MODULES, run, tool, write_go_module, write_language
from tests.golden_update import GOLDEN, load, plan


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("python")
    write_language("python", root)
    return root


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("tsc", path=str(NODE_MODULES / ".bin"))
    root = tmp_path_factory.mktemp("typescript")
    write_language("typescript", root)
    (root / "node_modules").symlink_to(NODE_MODULES)
    return root


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("go")
    root = tmp_path_factory.mktemp("go")
    write_go_module(root)
    return root


def test_python_passes_mypy(python: Path) -> None:
    run([sys.executable, "-m", "mypy", "--strict", "--config-file=", "."], cwd=python)


def test_python_passes_pyright(python: Path) -> None:
    (python / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": ["."]}))
    run([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], cwd=python)


def test_python_is_imported_and_all_models_are_complete(python: Path) -> None:
    packages = sorted(path.name for path in python.glob("client_*"))
    script = f"""
import importlib, pydantic
for package in {packages!r}:
    client = importlib.import_module(package)
    for name in client.__all__:
        found = getattr(client, name)
        if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
            found.model_json_schema(mode="validation")
"""
    run([sys.executable, "-W", "error", "-c", script], cwd=python)
    assert not list(python.rglob("canary")), "text of the project was run as code"


def test_typescript_passes_tsc(typescript: Path) -> None:
    """With the generated tsconfig.json; for Node, and as a bundler resolves it."""
    for resolution in ({}, {"module": "ESNext", "moduleResolution": "Bundler"}):
        config = {
            "extends": "./client_documents/tsconfig.json",
            "compilerOptions": {"noEmit": True, **resolution},
            "files": [f"{path.name}/index.ts" for path in sorted(typescript.glob("client_*"))],
        }
        (typescript / "tsconfig.json").write_text(json.dumps(config))
        run([str(NODE_MODULES / ".bin" / "tsc"), "-p", "tsconfig.json"], cwd=typescript)


def test_the_compiled_package_runs_in_node(typescript: Path) -> None:
    run([str(NODE_MODULES / ".bin" / "tsc"), "-p", "client_types/tsconfig.json"], cwd=typescript)
    script = """
import { APIClient, Color, RPCError } from "./client_types/dist/index.js";
const api = new APIClient({ call: async (...args) => args });
console.log(JSON.stringify([await api.typesDefaults({ on: false }, { timeoutMs: 5 }), Color, typeof RPCError]));
"""
    printed = run([tool("node"), "--input-type=module", "-e", script], cwd=typescript)
    assert json.loads(printed) == [
        ["types.defaults", {"on": False}, {"timeoutMs": 5}],
        {"RED": "red", "DARK_BLUE": "dark-blue"},
        "function",
    ]


def test_go_is_formatted(go: Path) -> None:
    gofmt = Path(run([tool("go"), "env", "GOROOT"], cwd=go).strip(), "bin", "gofmt")
    assert run([str(gofmt), "-l", "."], cwd=go) == ""


def test_go_passes_vet(go: Path) -> None:
    run([tool("go"), "vet", "./..."], cwd=go)


PRINT_MEMBERS = """
package main

import (
	"encoding/json"
	"os"

	client "clients/go/client_hostile"
)

func main() {
	_ = json.NewEncoder(os.Stdout).Encode([]client.Hostile{%s})
}
"""


def test_text_means_the_same_in_every_language(python: Path, typescript: Path, go: Path) -> None:
    load(GOLDEN / "hostile" / "handlers.py")
    expected: list[str] = sys.modules["golden_hostile"].PAYLOADS
    members = ", ".join(f"client.HostileMember{index}" for index in range(len(expected)))
    (go / "members").mkdir()
    (go / "members" / "main.go").write_text(PRINT_MEMBERS % members)
    run([str(NODE_MODULES / ".bin" / "tsc"), "-p", "client_hostile/tsconfig.json"], cwd=typescript)
    in_python = "import client_hostile as c, json; print(json.dumps([m.value for m in c.models.Hostile]))"
    in_node = (
        'import { Hostile } from "./client_hostile/dist/index.js"; console.log(JSON.stringify(Object.values(Hostile)))'
    )

    assert json.loads(run([sys.executable, "-c", in_python], cwd=python)) == expected
    assert json.loads(run([tool("node"), "--input-type=module", "-e", in_node], cwd=typescript)) == expected
    assert json.loads(run([tool("go"), "run", "./members"], cwd=go)) == expected


EXAMPLES = ("documents", "types", "hostile", "untyped")


def example(language: str, case: str) -> str:
    """The first block of code in a README that is a program."""
    page = plan(case).languages[language][PurePosixPath("README.md")]
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return blocks[0]


def test_the_examples_for_python_pass_mypy(python: Path, tmp_path: Path) -> None:
    for case in EXAMPLES:
        package = tmp_path / case / "clients" / "python"
        shutil.copytree(python / f"client_{case}", package)
        (tmp_path / case / f"example_{case}.py").write_text(example("python", case))
        run([sys.executable, "-m", "mypy", "--strict", "--config-file=", f"example_{case}.py"], cwd=tmp_path / case)


def test_the_examples_for_typescript_pass_tsc(typescript: Path) -> None:
    for case in EXAMPLES:
        program = example("typescript", case).replace("./clients/typescript", f"./client_{case}")
        (typescript / f"example_{case}.ts").write_text(program)
    config = {
        "extends": "./client_documents/tsconfig.json",
        "compilerOptions": {"noEmit": True, "module": "ESNext", "moduleResolution": "Bundler"},
        "files": [f"example_{case}.ts" for case in EXAMPLES],
    }
    (typescript / "tsconfig.json").write_text(json.dumps(config))
    run([str(NODE_MODULES / ".bin" / "tsc"), "-p", "tsconfig.json"], cwd=typescript)


def test_the_examples_for_go_pass_vet(go: Path) -> None:
    for case in EXAMPLES:
        program = example("go", case).replace('"clients/go"', f'"clients/go/client_{case}"')
        (go / f"example_{case}").mkdir()
        (go / f"example_{case}" / "main.go").write_text(program)
    run([tool("go"), "vet", *(f"./example_{case}" for case in EXAMPLES)], cwd=go)
