"""The Todo example: its own tests, its clients and its page as they are checked in, and the page in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.servers import ROOT, free_port

EXAMPLE = ROOT / "examples" / "todo"
NODE = ROOT / "tests" / "node"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
START_SECONDS = 60
COMMAND_SECONDS = 120
BROWSER_SECONDS = 240
USERS = {"ann": "ann's password", "ben": "ben's password"}

# Tokens live so short that the page renews its own while it is watched.
API_KEY = "the-key-of-the-server-api-in-this-test"
SETTINGS = f"from project.settings import *\nCENTRIFUGO = {{'token_ttl_seconds': 5, 'api_key': {API_KEY!r}}}\n"
MAKE_USERS = """
import json, os
from django.contrib.auth import get_user_model
for name, password in json.loads(os.environ["TODO_USERS"]).items():
    get_user_model().objects.create_user(name, password=password)
"""


@dataclass
class Site:
    """The example on a port and with a database of its own."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.directory), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "short_tokens",
            "TODO_DATABASE": str(self.directory / "todo.sqlite3"),
            "TODO_USERS": json.dumps(USERS),
        }

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return run(command, cwd=EXAMPLE, env=self.environment)

    def start(self) -> None:
        with (self.directory / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runcentrifugo", str(self.port), "--noreload"],
                cwd=EXAMPLE, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        with killed_after(START_SECONDS, self.process) as process:
            assert process.stdout
            if "Serving on" not in process.stdout.readline():
                pytest.fail(f"runcentrifugo does not start:\n{self.log[-3000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            with killed_after(START_SECONDS, self.process) as process:
                process.communicate()
            self.process = None


@contextmanager
def killed_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whoever reads from `process` meanwhile waits no longer than this."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        timer.join()


def run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def need(path: Path) -> None:
    if not path.exists():
        message = f"{path.name} is missing: run scripts/setup --test"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "short_tokens.py").write_text(SETTINGS)
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.stop()


def test_its_own_tests_pass() -> None:
    settings = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "project.settings"}
    run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=EXAMPLE, env={**os.environ, **settings})


def test_nothing_is_left_to_migrate(site: Site) -> None:
    site.manage("makemigrations", "--check", "--dry-run")


def test_the_demo_can_be_prepared_again_and_again(site: Site) -> None:
    count = "from apps.todos.models import Todo; print(Todo.objects.filter(user__username='demo').count())"
    site.manage("prepare_demo")
    before = site.manage("shell", "--verbosity", "0", "-c", count)
    site.manage("prepare_demo")
    assert int(before) > 0
    assert site.manage("shell", "--verbosity", "0", "-c", count) == before


def test_the_clients_are_what_would_be_generated(site: Site) -> None:
    site.manage("generate_centrifugo_clients", "-o", "clients", "--all", "--check")


def test_the_page_is_what_would_be_built(tmp_path: Path) -> None:
    need(NODE / "node_modules")
    run([str(ROOT / "scripts" / "build-page"), str(tmp_path / "todos.js")])
    static = EXAMPLE / "core" / "static" / "core"
    for name in ("todos.js", "todos.js.LICENSES.txt"):
        assert (tmp_path / name).read_bytes() == (static / name).read_bytes(), f"{name} is old: make page"


def test_the_page_in_a_browser(site: Site, tmp_path: Path) -> None:
    need(NODE / "node_modules")
    need(Path(CHROMIUM))
    site.manage("migrate", "--verbosity", "0")
    site.manage("shell", "--verbosity", "0", "-c", MAKE_USERS)
    site.start()
    plan = {"url": f"http://127.0.0.1:{site.port}/", "apiKey": API_KEY, "screenshots": str(tmp_path), "users": USERS}
    with (tmp_path / "browser.log").open("w+") as log:
        browser = subprocess.Popen(
            ["node", "browser/todo.mjs", json.dumps(plan)],
            cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        with killed_after(BROWSER_SECONDS, browser):
            obey(browser, site)
            code = browser.wait()
        log.seek(0)
        assert code == 0, f"{log.read()}\n--- the server:\n{site.log[-3000:]}"
    taken = {path.name for path in tmp_path.glob("*.png")}
    assert taken == {f"todo-{scheme}-{width}.png" for scheme in ("light", "dark") for width in (390, 1280)}


def obey(browser: subprocess.Popen[str], site: Site) -> None:
    """The browser's script says on its standard output when the server is to stop and to start."""
    assert browser.stdin
    assert browser.stdout
    for line in browser.stdout:
        order = json.loads(line)["server"]
        site.start() if order == "start" else site.stop()
        browser.stdin.write("done\n")
        browser.stdin.flush()
    browser.stdin.close()
    browser.stdout.close()
