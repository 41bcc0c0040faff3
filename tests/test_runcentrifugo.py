"""The command itself: the project behind it, a busy port, static files, reloading."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from django_cfg.apps.centrifugo.management.commands.runcentrifugo import api_note

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 30

MANAGE = """import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """SECRET_KEY = "a-secret-key-of-a-project-that-lives-for-one-test-only"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_urls"
STATIC_URL = "static/"
INSTALLED_APPS = ["django.contrib.staticfiles", "django_cfg.apps.centrifugo", "shop"]
"""
URLS = """from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("hello/", lambda request: HttpResponse("first"))]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (tmp_path / "site_urls.py").write_text(URLS)
    (tmp_path / "shop/static").mkdir(parents=True)
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/static/shop.css").write_text("body {}")
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(site: Path, *arguments: str, name: str = "runcentrifugo") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "manage.py", name, *arguments],
        cwd=site, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


@contextmanager
def running(site: Path, *arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = command(site, str(port), *arguments)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - a URL of this test's own server
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""
    except (OSError, http.client.HTTPException):  # it is replaced while it answers
        return 0, ""


def post(url: str) -> int:
    try:
        with urllib.request.urlopen(url, data=b"{}", timeout=5) as response:  # noqa: S310 - as above
            status: int = response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return status


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_the_project_its_static_files_and_the_api_are_served(site: Path) -> None:
    with running(site, "--noreload") as (process, url):
        until(lambda: get(url + "/hello/") == (200, "first"))
        assert get(url + "/static/shop.css") == (200, "body {}")
        assert get(url + "/api/publish")[0] == 404  # nobody's but the project's
        assert post(url + "/api/publish") == 401
        process.terminate()
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert f"Serving on {url}/" in output
    assert "Not implemented" not in output
    assert process.returncode == 0


def test_an_asgi_application_of_the_projects_own(site: Path) -> None:
    (site / "site_asgi.py").write_text(
        "async def application(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'my own'})\n"
    )
    with (site / "site_settings.py").open("a") as settings:
        settings.write("ASGI_APPLICATION = 'site_asgi.application'\n")
    with running(site, "--noreload") as (_, url):
        until(lambda: get(url + "/hello/") == (200, "my own"))


def test_a_websocket_at_another_path_is_refused(site: Path) -> None:
    with running(site, "--noreload") as (process, url):
        until(lambda: get(url + "/hello/") == (200, "first"))
        with pytest.raises(InvalidStatus, match="403"), connect(url.replace("http", "ws") + "/ws/"):
            pass
        process.terminate()
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert "no WebSocket is served at '/ws/': clients connect to /connection/websocket" in output
    assert "Traceback" not in output


def test_a_changed_file_restarts_the_server(site: Path) -> None:
    with running(site) as (_, url):
        until(lambda: get(url + "/hello/") == (200, "first"))
        (site / "site_urls.py").write_text(URLS.replace("first", "second"))
        until(lambda: reloaded(site / "site_urls.py", url))


def test_a_mistake_that_was_saved_can_be_mended(site: Path) -> None:
    handlers = site / "shop/handlers.py"
    handlers.touch()
    with running(site) as (process, url):
        until(lambda: get(url + "/hello/") == (200, "first"))
        until(lambda: has_ended(saved(handlers, "def broken("), url))
        assert process.poll() is None
        handlers.write_text("")
        until(lambda: get(url + "/hello/") == (200, "first"))


@pytest.mark.parametrize("mistakes", [1, 2])
def test_a_signal_ends_it_while_a_mistake_is_mended(site: Path, mistakes: int) -> None:
    handlers = site / "shop/handlers.py"
    handlers.touch()
    with running(site) as (process, url):
        until(lambda: get(url + "/hello/") == (200, "first"))
        until(lambda: has_ended(saved(handlers, "def broken("), url))
        for number in range(1, mistakes):
            handlers.write_text(f"def broken{number}(")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0


def test_a_mistake_that_was_there_before_ends_it(site: Path) -> None:
    (site / "shop/handlers.py").write_text("def broken(")
    process = command(site, str(free_port()))
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert "SyntaxError" in output


def saved(file: Path, text: str) -> Path:
    """Again and again, since a change before the reloader's first look at it goes unnoticed."""
    file.write_text(text)
    return file


def has_ended(_: Path, url: str) -> bool:
    return soon(url, (0, ""))


def reloaded(changed: Path, url: str) -> bool:
    """Touches the file, since a change before the reloader's first look at it goes unnoticed."""
    os.utime(changed, (time.time(), time.time()))
    return soon(url, (200, "second"))


def soon(url: str, answer: tuple[int, str]) -> bool:
    end = time.monotonic() + 4
    while time.monotonic() < end:
        if get(url + "/hello/") == answer:
            return True
        time.sleep(0.05)
    return False


BUSY_THREAD = """
import os, sys, threading, time
if "RUN_MAIN" in os.environ or "--reload" not in os.environ["TESTED"]:
    threading.Thread(target=time.sleep, args=(600,)).start()
"""


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("runcentrifugo", ["--noreload"]), ("runcentrifugo", []), ("centrifugo_worker", ["--port"])],
)
def test_a_thread_that_does_not_return_holds_no_process(
    site: Path, name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTED", "--reload" if not arguments else "")
    with (site / "site_settings.py").open("a") as settings:
        settings.write(BUSY_THREAD)
    port = free_port()
    process = command(site, *arguments, str(port), name=name)
    try:
        until(lambda: get(f"http://127.0.0.1:{port}/livez")[0] in (200, 404))
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=WAIT_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode == 0
    assert "a thread has not returned" in said


def test_a_busy_port_is_explained(site: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = command(site, str(port), "--noreload")
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert f"port {port} is in use" in output
    assert f"process {os.getpid()}" in output
    assert f"for example 127.0.0.1:{port + 1}" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "is no address: write HOST:PORT"),
        (["70000"], "is no address: write HOST:PORT"),
        (["--config", "missing.json"], "cannot read the configuration missing.json"),
        (["--config", "bad.json"], "$.client.concurrency"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(site: Path, arguments: list[str], message: str) -> None:
    (site / "bad.json").write_text('{"client": {"concurrency": "many"}}')
    process = command(site, *arguments, "--noreload")
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert message in output
    assert "Traceback" not in output


def test_keys_that_are_not_implemented_are_named(site: Path) -> None:
    (site / "config.json").write_text(
        '{"http_api": {"key": "k"}, "admin": {"enabled": true}, "engine": {"type": "redis"}}'
    )
    with running(site, "--noreload", "--config", "config.json", "--external-worker") as (process, url):
        until(lambda: get(url + "/hello/")[0] == 200)
        process.terminate()
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert "Not implemented by the embedded server: admin.enabled, engine.type\n" in output


@pytest.mark.parametrize(
    ("api_url", "url", "said"),
    [
        ("http://127.0.0.1:8000/api", "http://127.0.0.1:8000/", False),
        ("http://127.0.0.1:8000/api", "http://127.0.0.1:8001/", True),
    ],
)
def test_an_api_url_of_another_port_is_pointed_out(api_url: str, url: str, said: bool) -> None:
    note = api_note(api_url, url)

    assert note == (f"Other processes publish to {api_url}; to reach this server set "
                    f"CENTRIFUGO['api_url'] = '{url}api'." if said else "")  # fmt: skip
