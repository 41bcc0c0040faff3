"""Which module may import which: `errors, models <- rpc <- parts <- management commands`, and pure files do no I/O."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "django_cfg"
PARTS = ("django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc", "django_cfg.apps.integrations.grpc")
BASE = ("django_cfg.errors", "django_cfg.models", "django_cfg.version", "django_cfg.typed_settings")
CONTAINERS = {"django_cfg.apps", "django_cfg.modules", "django_cfg.apps.integrations"}
DOES_IO = {
    "aiohttp",
    "asgiref",
    "asyncio",
    "django",
    "grpc",
    "http",
    "redis",
    "requests",
    "socket",
    "urllib3",
    "uvicorn",
}
HARMLESS = {"django.core.exceptions", "asyncio.CancelledError"}

EMBEDDED = "django_cfg.apps.centrifugo.embedded."
CODEGEN = "django_cfg.apps.centrifugo.codegen."
MUST_BE_PURE = [
    *(f"django_cfg.rpc.{name}" for name in ("call", "claims", "containers", "failure", "lossless", "method")),
    *(f"django_cfg.rpc.{name}" for name in ("signature", "user_ids", "validation")),
    *(f"django_cfg.apps.centrifugo.{name}" for name in ("config", "identity", "proxy", "proxy_wire", "server_api")),
    *(EMBEDDED + name for name in ("api", "channels", "codes", "commands", "config", "connecting", "history", "hub")),
    *(EMBEDDED + name for name in ("globs", "json_text", "node", "origins", "outbox", "protocol", "session")),
    *(EMBEDDED + name for name in ("subscribing", "subscription", "tokens")),
    *(CODEGEN + name for name in ("document", "emit", "escape", "ir", "lower", "names", "schema")),
]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_test(path: Path) -> bool:
    return "tests" in path.relative_to(PACKAGE).parts


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if not is_test(path)}


@cache
def imports(module: str) -> frozenset[str]:
    """Full names of what a module imports anywhere in it; `from x import y` is `x.y` and, with it, `x`."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(name for node in ast.walk(ast.parse(path.read_text())) for name in _imported(node, package))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parent = package.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(part for part in (parent, node.module) if part)
        yield from (f"{source}.{alias.name}" for alias in node.names)


def resolved(name: str) -> str:
    """The longest prefix that is a module of the package; the name itself for other packages."""
    while name not in MODULES and name.startswith("django_cfg."):
        name = name.rpartition(".")[0]
    return name


def own_imports(module: str) -> set[str]:
    return {found for name in imports(module) if (found := resolved(name)) in MODULES}


def part_of(module: str) -> str | None:
    return next((part for part in PARTS if module == part or module.startswith(part + ".")), None)


def level(module: str) -> int:
    """Modules import from their own level or a lower one."""
    if any(module == base or module.startswith(base + ".") for base in BASE):
        return 0
    if module == "django_cfg.rpc" or module.startswith("django_cfg.rpc."):
        return 1
    if part_of(module) is None:
        raise AssertionError(f"{module} belongs to no room: see this file's first line")
    return 3 if ".management" in module else 2


OF_A_LEVEL = [name for name in MODULES if name not in CONTAINERS | {"django_cfg", "django_cfg.config"}]


@pytest.mark.parametrize("module", OF_A_LEVEL)
def test_imports_point_one_way(module: str) -> None:
    upward = {name for name in own_imports(module) if name not in CONTAINERS and level(name) > level(module)}
    assert not upward


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) and ".management" not in name])
def test_parts_never_import_one_another(module: str) -> None:
    """Only the commands join parts: that is where their ports are wired."""
    assert {part_of(name) for name in own_imports(module)} <= {None, part_of(module)}


def test_the_settings_of_all_parts_know_only_their_config() -> None:
    allowed = {f"{part}.config" for part in PARTS}
    assert {name for name in own_imports("django_cfg.config") if part_of(name)} <= allowed
    assert own_imports("django_cfg") <= {"django_cfg.config", "django_cfg.version"}


def reachable(module: str) -> set[str]:
    """The module and everything of the package that it imports, however indirectly."""
    found, left = set[str](), {module}
    while left:
        found |= left
        left = {name for current in left for name in own_imports(current)} - found
    return found


DECLARED_PURE = [
    name for name, path in MODULES.items() if (ast.get_docstring(ast.parse(path.read_text())) or "").startswith("Pure:")
]


@pytest.mark.parametrize("module", sorted({*MUST_BE_PURE, *DECLARED_PURE}))
def test_pure_modules_do_no_io(module: str) -> None:
    for name in imports(module):
        allowed = name in HARMLESS or name.rpartition(".")[0] in HARMLESS
        assert allowed or name.partition(".")[0] not in DOES_IO, name


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MUST_BE_PURE
        if name.startswith((EMBEDDED, CODEGEN)) or name.rpartition(".")[2].startswith("proxy")
    ],
)
def test_pure_modules_reach_no_edge_either(module: str) -> None:
    for other in reachable(module):
        test_pure_modules_do_no_io(other)


def test_the_base_client_stands_alone() -> None:
    names = imports(CODEGEN + "runtime.python.rpc_client")
    assert not [name for name in names if name.startswith(("django", "pydantic"))]


def test_every_folder_is_a_package() -> None:
    """Without its own `__init__.py` the inner `grpc` would shadow grpcio."""
    data = ("templates", "runtime", "examples")
    folders = {path.parent for path in PACKAGE.rglob("*.py") if not set(data) & set(path.parts)}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_needs_no_set_up() -> None:
    loaded = run_python(
        "import sys, django_cfg; django_cfg.DjangoConfig; django_cfg.__version__; "
        "print(sorted({'redis', 'grpc', 'django.conf', 'django.apps', 'aiohttp', 'uvicorn'} & set(sys.modules)))"
    )
    assert loaded == "[]"


def test_handlers_can_be_imported_without_settings() -> None:
    loaded = run_python(
        "import sys; from django_cfg.apps.centrifugo.decorators import websocket_rpc; "
        "from django_cfg.apps.centrifugo.router import MessageRouter; "
        "from django_cfg.apps.centrifugo.registry import RPCRegistry; "
        "print(sorted({'redis', 'grpc', 'django.apps', 'aiohttp', 'uvicorn'} & set(sys.modules)))"
    )
    assert loaded == "[]"
