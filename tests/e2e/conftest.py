from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e import driving
from tests.e2e.servers import KINDS, Servers, running


@pytest.fixture(scope="session", params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A running site that many tests share; tests keep to users and keys of their own."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as servers:
        yield servers


@pytest.fixture
def own_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """A site for one test that stops or restarts parts of it; the kind comes by indirect parametrisation."""
    with running(getattr(request, "param", "embedded"), tmp_path) as servers:
        yield servers


@pytest.fixture(scope="session", params=driving.LANGUAGES)
def driver_command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    language: str = request.param
    _require(language)
    directory = tmp_path_factory.mktemp(f"driver-{language}")
    return driving.build(language, Servers("embedded", directory), directory)


@pytest.fixture
async def driver(driver_command: list[str]) -> AsyncIterator[driving.Driver]:
    async with driving.driver(driver_command) as started:
        yield started


def _require(language: str) -> None:
    needed = {"python": True, "typescript": (driving.NODE / "node_modules").is_dir(), "go": shutil.which("go")}
    if not needed[language]:
        message = f"the tools for {language} are missing: run scripts/setup --test"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
