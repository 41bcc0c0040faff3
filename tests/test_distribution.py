"""What is built is complete, and what is installed without extras can be imported."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(directory.glob("*.whl")))


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "django_cfg"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert set(listed) <= set(wheel.namelist())
    assert {"django_cfg/py.typed", "django_cfg/apps/centrifugo/codegen/runtime/go/rpc_client.go"} <= set(listed)


def test_the_distribution_is_called_as_the_readme_says(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()

    assert "Name: django-cfg-realtime\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    assert all(f"Provides-Extra: {extra}\n" in metadata for extra in ("redis", "grpc", "all", "dev"))


def test_importing_the_package_needs_no_extra_and_no_settings() -> None:
    code = (
        "import sys, django_cfg; django_cfg.DjangoConfig(); print(django_cfg.__version__);"
        "assert not {'redis', 'grpc', 'uvicorn', 'aiohttp'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={"PATH": ""})

    assert done.returncode == 0, done.stderr
