from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from django_cfg.rpc.discovery import discover_handlers
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.routers import router

__all__ = ["router"]

HANDLER = """
from django_cfg.rpc.router import get_global_router

@get_global_router().register("{name}")
async def handler(conn, params):
    return 1
"""
pytestmark = pytest.mark.usefixtures("router")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that apps can be imported from."""
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def make_app(project: Path, name: str, files: dict[str, str]) -> None:
    for file, text in {"__init__.py": "", **files}.items():
        path = project / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def discover(*names: str) -> None:
    with override_settings(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *names]):
        discover_handlers()


def test_all_module_names_in_all_apps(project: Path, router: MessageRouter) -> None:
    make_app(project, "shop", {"centrifugo_handlers.py": HANDLER.format(name="shop.a")})
    make_app(project, "blog", {"handlers/__init__.py": HANDLER.format(name="blog.a")})
    make_app(project, "chat", {"rpc.py": HANDLER.format(name="chat.a"), "other.py": HANDLER.format(name="chat.b")})
    make_app(project, "plain", {})
    discover("shop", "blog", "chat", "plain")
    assert [method.name for method in router.methods()] == ["shop.a", "blog.a", "chat.a"]


def test_a_broken_import_inside_a_module_shows_its_own_traceback(project: Path) -> None:
    make_app(project, "shop", {"handlers.py": "import os\nimport a_module_that_is_missing\n"})
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing") as caught:
        discover("shop")
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(frame.filename).parts[-2:], frame.lineno) == (("shop", "handlers.py"), 2)


def test_any_error_inside_a_module_is_raised(project: Path) -> None:
    make_app(project, "shop", {"rpc.py": "1 / 0\n"})
    with pytest.raises(ZeroDivisionError):
        discover("shop")


def names(router: MessageRouter) -> list[str]:
    return [method.name for method in router.methods()]


def test_a_module_is_imported_once_however_often_it_is_asked_for(project: Path) -> None:
    fails_when_imported_again = "from pathlib import Path\nPath(__file__).with_name('imported').touch(exist_ok=False)\n"
    make_app(project, "shop", {"handlers.py": fails_when_imported_again})
    for _ in range(3):
        discover("shop")
    assert (project / "shop" / "imported").exists()


@pytest.mark.parametrize("app", ["django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc"])
def test_either_app_finds_handlers(project: Path, router: MessageRouter, app: str) -> None:
    make_app(project, "shop", {"handlers.py": HANDLER.format(name="shop.a")})
    with override_settings(INSTALLED_APPS=[app, "shop"]):
        assert names(router) == ["shop.a"]


@pytest.mark.parametrize("order", [1, -1])
def test_with_both_apps_the_setting_says_which(project: Path, router: MessageRouter, order: int) -> None:
    make_app(project, "shop", {"handlers.py": HANDLER.format(name="shop.a"), "ws.py": HANDLER.format(name="shop.b")})
    both = ["django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc"][::order]
    with override_settings(CENTRIFUGO={"handler_modules": ["ws"]}), override_settings(INSTALLED_APPS=[*both, "shop"]):
        assert names(router) == ["shop.b"]
