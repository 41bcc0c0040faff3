"""The Go base client: formatted, vetted, and run against a scripted server by the tests in `tests/go`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "go"
RUNTIME = Path(__file__).parents[1] / "django_cfg/apps/centrifugo/codegen/runtime/go"
# The runtime has no go.mod, because it is copied as it stands: the overlay puts it into the module of its tests.
OVERLAY = "-overlay=overlay.json"
SECONDS = 600


@pytest.fixture(scope="module")
def go() -> str:
    found = shutil.which("go")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Go is not installed, and CI checks the Go client")
    return found or pytest.skip("Go is not installed: the Go client is not checked")


def run(*command: str, **environment: str) -> str:
    """What the command printed; fails with exactly that."""
    done = subprocess.run(
        command,
        cwd=TESTS,
        env={**os.environ, "GOFLAGS": "-mod=readonly", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    output = done.stdout + done.stderr
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{output}", pytrace=False)
    return output


def test_it_is_formatted(go: str) -> None:
    gofmt = Path(run(go, "env", "GOROOT").strip(), "bin", "gofmt")
    unformatted = run(str(gofmt), "-l", str(RUNTIME), str(TESTS))
    assert not unformatted, f"gofmt -w would change:\n{unformatted}"


def test_it_is_vetted(go: str) -> None:
    run(go, "vet", OVERLAY, "./...")


def test_it_behaves(go: str) -> None:
    """With the race detector where there is the C compiler that it needs."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    race = ("-race",) if compiler else ()
    run(go, "test", OVERLAY, "-count=1", *race, "./...", **({"CGO_ENABLED": "1", "CC": compiler} if compiler else {}))


def test_the_source_is_one_file_without_a_module() -> None:
    assert [path.name for path in RUNTIME.iterdir()] == ["rpc_client.go"]
