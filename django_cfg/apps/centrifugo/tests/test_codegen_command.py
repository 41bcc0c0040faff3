"""`generate_centrifugo_clients`: what it prints, writes and refuses."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from pydantic import BaseModel

from django_cfg.apps.centrifugo.codegen import GoThinGenerator, PythonThinGenerator, TypeScriptThinGenerator
from django_cfg.apps.centrifugo.codegen.discovery import discover_rpc_methods_from_router
from django_cfg.apps.centrifugo.router import MessageRouter
from django_cfg.rpc.tests.models import add


class TaskStatsParams(BaseModel):
    user_id: str


class TaskStats(BaseModel):
    total: int


router = MessageRouter()
empty = MessageRouter()
clashing = MessageRouter()


@router.register("tasks.get_stats")
@clashing.register("tasks.get_stats")
@clashing.register("tasks_get.stats")
async def get_stats(conn: Any, params: TaskStatsParams) -> TaskStats:
    return TaskStats(total=1)


@router.register("custom.method")
async def untyped(conn, params):  # type: ignore[no-untyped-def]  # the documents' own form
    return {"result": "custom"}


HERE = __name__


def generate(*arguments: str, router_path: str | None = f"{HERE}.router") -> str:
    out = io.StringIO()
    chosen = () if router_path is None else ("--router-path", router_path)
    call_command("generate_centrifugo_clients", *arguments, *chosen, stdout=out, stderr=out)
    return out.getvalue()


OUTPUT = f"""\
Centrifugo Client Code Generation
============================================================
Using custom router: {HERE}.router

Discovering RPC methods...
Found 2 RPC methods
  - tasks.get_stats: TaskStatsParams -> TaskStats
  - custom.method: dict -> dict

Output directory: ./clients

Generating Python client...
  ✓ Generated at: ./clients/python

Generating TypeScript client...
  ✓ Generated at: ./clients/typescript

Generating Go client...
  ✓ Generated at: ./clients/go

============================================================
Successfully generated 3 client(s): Python, TypeScript, Go

Next steps:
  cd ./clients/python && pip install -r requirements.txt
  cd ./clients/typescript && npm install
  cd ./clients/go && go mod tidy
"""


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tree(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_it_prints_what_the_guide_shows() -> None:
    assert generate("--output", "./clients", "--all") == OUTPUT


def test_the_global_router_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_cfg.apps.centrifugo.codegen.discovery.get_global_router", lambda: router)
    assert "\nUsing global MessageRouter\n\nDiscovering" in generate("-o", "sdk", "--python", router_path=None)


def test_only_the_chosen_languages_are_made_and_named(tmp_path: Path) -> None:
    printed = generate("-o", "./sdk", "--python", "--go")

    assert "Successfully generated 2 client(s): Python, Go\n" in printed
    assert "npm" not in printed
    assert not (tmp_path / "sdk/typescript").exists()


def test_verbose_lists_every_file() -> None:
    assert "\n    rpc-client.ts\n" in generate("-o", "sdk", "--typescript", "--verbose")


def test_without_a_language_the_flags_are_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--python, --typescript, --go, or --all"):
        generate("-o", "sdk")
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{HERE}.nowhere", "there is no router at"),
        ("no_such_module.router", "there is no router at"),
        ("router", "there is no router at"),
        (f"{HERE}.TaskStats", "not a MessageRouter"),
    ],
)
def test_a_router_that_is_none_is_told(path: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        generate("-o", "sdk", "--all", router_path=path)


def test_a_wrong_setting_is_told_before_its_consequence() -> None:
    with override_settings(CENTRIFUGO={"handler_module": []}), pytest.raises(CommandError, match="handler_modules"):
        generate("-o", "sdk", "--all")


def test_a_router_without_methods_gives_the_guides_hints_and_writes_nothing(tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError) as raised:
        call_command(
            "generate_centrifugo_clients",
            "-o",
            "sdk",
            "--all",
            "--router-path",
            f"{HERE}.empty",
            stdout=out,
            stderr=out,
        )

    assert "Found 0 RPC methods" in out.getvalue()
    assert all(hint in str(raised.value) for hint in ("AppConfig.ready()", "@websocket_rpc", "type hints"))
    assert tree(tmp_path) == set()


def test_check_is_quiet_when_the_files_are_right_and_shows_the_difference_otherwise(tmp_path: Path) -> None:
    generate("-o", "sdk", "--all")
    assert "up to date" in generate("-o", "sdk", "--all", "--check")

    (tmp_path / "sdk/python/client.py").write_text("changed\n")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command(
            "generate_centrifugo_clients",
            "-o",
            "sdk",
            "--all",
            "--check",
            "--router-path",
            f"{HERE}.router",
            stdout=out,
        )
    assert "\n-changed\n" in out.getvalue()
    assert (tmp_path / "sdk/python/client.py").read_text() == "changed\n"


def test_renamed_methods_are_warned_of_and_refused_when_asked(tmp_path: Path) -> None:
    path = f"{HERE}.clashing"
    with pytest.raises(CommandError, match="--strict-names"):
        generate("-o", "sdk", "--all", "--strict-names", router_path=path)
    assert tree(tmp_path) == set()

    assert "Warning: 'tasks.get_stats' shares its name" in generate("-o", "sdk", "--all", router_path=path)


def test_the_module_path_of_go_can_be_chosen(tmp_path: Path) -> None:
    generate("-o", "sdk", "--go", "--go-module", "example.com/team/client")
    assert "\nmodule example.com/team/client\n" in (tmp_path / "sdk/go/go.mod").read_text()

    with pytest.raises(CommandError, match="no module path"):
        generate("-o", "sdk", "--go", "--go-module", "a b\nreplace x => y")


@pytest.mark.parametrize("generator", [PythonThinGenerator, TypeScriptThinGenerator, GoThinGenerator])
def test_a_generator_writes_its_language_into_the_directory_itself(tmp_path: Path, generator: Any) -> None:
    generate("-o", "sdk", "--all")
    written = generator(discover_rpc_methods_from_router(router)).generate(tmp_path / "direct")

    language = generator.language
    assert tree(tmp_path / "direct") == tree(tmp_path / "sdk" / language)
    assert {path.name for path in written} == tree(tmp_path / "direct")


def test_what_clients_cannot_reach_is_not_generated() -> None:
    both = MessageRouter()
    both.register_handler("here.add", add)
    both.register_handler("there.add", add, transports=["redis"])
    assert [method.name for method in discover_rpc_methods_from_router(both)] == ["here.add"]


def test_what_is_no_router_is_not_searched() -> None:
    nothing: Any = object()
    with pytest.raises(TypeError, match="not a MessageRouter"):
        discover_rpc_methods_from_router(nothing)
