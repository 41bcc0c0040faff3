"""The documentation: every code block runs, every link leads somewhere, the reference tables say what the code says."""

from __future__ import annotations

import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import load_command_class

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.errors import RPCErrorCode
from tests.documents.markdown import anchors, fenced_blocks, links
from tests.documents.page import Page
from tests.documents.project import Project

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMANDS = ROOT / "django_cfg/apps/integrations/grpc/services/commands"
PAGES = [ROOT / "README.md", COMMANDS / "README.md", *sorted(DOCS.rglob("*.md"))]
TUTORIAL = DOCS / "tutorial" / "first-call.md"
INSTALLED = {
    ROOT / "README.md": ('"tasks"]', '"myapp"]'),
    DOCS / "howto" / "setup.md": ('"django_cfg.apps.centrifugo", "tasks"]', '"tasks"]'),
}
"""Pages that begin with other installed apps than the tutorial's: what is replaced in the settings, and by what."""
SECRETS = {f"CENTRIFUGO_{name}": secrets.token_urlsafe(32) for name in ("TOKEN_SECRET", "PROXY_SECRET", "API_KEY")}
"""In the environment, where pages about production take them from."""
RUNNABLE = [page for page in PAGES if page != TUTORIAL and fenced_blocks(page)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def tutorial_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has who has followed the tutorial; the other pages go on from there."""
    directory = tmp_path_factory.mktemp("tutorial")
    with Project(directory, "mysite.settings") as project:
        project.run("django-admin startproject mysite . && python manage.py startapp tasks")
        page = Page(project)
        page.run(
            [b for b in fenced_blocks(TUTORIAL) if b.language == "python" and re.match(r"# (mysite|tasks)/", b.text)]
        )
        project.run("python manage.py migrate -v0 && python manage.py generate_centrifugo_clients -o clients --all")
    return directory


@pytest.fixture
def project(tutorial_project: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    directory = tmp_path / "site"
    shutil.copytree(tutorial_project, directory)
    with Project(directory, "mysite.settings", SECRETS) as project:
        settings = directory / "mysite/settings.py"
        text = settings.read_text().replace(*INSTALLED.get(request.node.callspec.params["page"], ("", "")))
        settings.write_text(text + f'CENTRIFUGO = {{"api_url": "http://{project.address}/api"}}\n')
        yield project


def test_tutorial(tmp_path: Path) -> None:
    with Project(tmp_path, "mysite.settings") as project:
        Page(project).run(fenced_blocks(TUTORIAL))


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_code_blocks_run(page: Path, project: Project) -> None:
    Page(project).run(fenced_blocks(page))


@pytest.mark.parametrize("page", [DOCS / "howto" / "setup.md"], ids=name)
def test_typed_handlers_pass_strict_checkers(page: Path, project: Project) -> None:
    """The page says so of the handler that it shows."""
    Page(project).run([block for block in fenced_blocks(page) if re.match(r"# tasks/(models|rpc)\.py", block.text)])
    stubs = "[mypy.plugins.django-stubs]\ndjango_settings_module = mysite.settings\n"
    project.write("mypy.ini", "[mypy]\nplugins = mypy_django_plugin.main\n" + stubs)
    project.write("pyrightconfig.json", '{"typeCheckingMode": "strict", "include": ["tasks/rpc.py"]}')

    project.run("python -W ignore -m mypy --strict tasks/rpc.py")
    project.run(f"python -m pyright --pythonpath {sys.executable}")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def rows(page: str) -> list[list[str]]:
    """Cells of all table rows that begin with code; cells that are code as a whole lose its marks."""
    lines = re.findall(r"^\| (`.*) \|$", (DOCS / "reference" / page).read_text("utf-8"), re.MULTILINE)
    return [[re.sub(r"^`(.*)`$", r"\1", cell).replace("\\|", "|") for cell in line.split(" | ")] for line in lines]


def type_name(annotation: object) -> str:
    return annotation.__name__ if annotation in (str, int, float) else str(annotation)


def test_settings_page_lists_every_setting() -> None:
    listed = {key: (kind, default) for key, kind, default, _ in rows("settings.md")}
    assert listed == {
        key: (type_name(field.annotation), repr(field.get_default(call_default_factory=True)))
        for key, field in CentrifugoConfig.model_fields.items()
    }


def test_error_codes_page_lists_every_code() -> None:
    listed = [(code, int(number), retryable == "yes") for code, number, retryable, _ in rows("error-codes.md")]
    assert listed == [(str(code), code.number, code.retryable) for code in RPCErrorCode]


def test_commands_page_lists_every_option() -> None:
    text = (DOCS / "reference" / "commands.md").read_text("utf-8")
    commands = {path.stem for path in (ROOT / "django_cfg/apps/centrifugo/management/commands").glob("[a-z]*.py")}
    inherited = {
        action.dest for action in load_command_class("django.core", "sqlflush").create_parser("", "sqlflush")._actions
    }
    for command in commands:
        section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        assert section is not None, f"{command} has no section"
        parser = load_command_class("django_cfg.apps.centrifugo", command).create_parser("manage.py", command)
        own = [action for action in parser._actions if action.dest not in inherited]
        for action in own:
            for option in action.option_strings or [str(action.metavar or action.dest).upper()]:
                assert option in section[1], f"{command}: {option} is not described"


def test_checks_page_lists_every_check() -> None:
    source = (ROOT / "django_cfg/apps/centrifugo/checks.py").read_text("utf-8")
    assert [row[0] for row in rows("checks.md")] == sorted(set(re.findall(r"[EW]\d{3}(?=\")", source)))
