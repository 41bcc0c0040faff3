"""`grpc_handlers` of each app: found, called once, and what is wrong with one is said with app, file and line."""

from __future__ import annotations

import re

import pytest

from tests.grpc.project import ECHO, Project


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


def test_all_apps_are_asked_in_order_and_each_once(project: Project) -> None:
    project.add_app("first", ECHO.replace("test.Echo", "test.First"))
    project.add_app("second", ECHO.replace("test.Echo", "test.Second"))
    (project.directory / "second" / "grpc_handlers.py").rename(project.directory / "second" / "unused.py")
    project.add_app("third", ECHO.replace("test.Echo", "test.Third"))
    with project.configure().manage("rungrpc", "--noreload") as server:
        server.until_serving()
        assert re.findall(r"^(test\.\w+)  \(", server.log, re.MULTILINE) == ["test.First", "test.Third"]
        assert server.log.count("called") == 2
        assert server.end() == 0


GENERATED = """
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc

def grpc_handlers(server):
    fleet_pb2_grpc.add_FleetServicer_to_server(fleet_pb2_grpc.FleetServicer(), server)
"""


def test_generated_code_registers_its_service_under_its_full_name(project: Project) -> None:
    project.add_app("fleet", GENERATED)
    with project.configure().manage("rungrpc", "--noreload") as server:
        server.until_logged(f"django_cfg.fleet.v1.Fleet  ({project.directory}/fleet/grpc_handlers.py:4)")


MISTAKES = {
    "an error in the function": ("def grpc_handlers(server):\n    helper()\n\ndef helper():\n    1 / 0\n", 5, "Zero"),
    "an error in the module": ("import nowhere_at_all\n", 1, "ModuleNotFoundError"),
    "a syntax error": ("x = 1\ndef grpc_handlers(server:\n", 2, "SyntaxError"),
    "no function": ("x = 1\n", 1, "there must be a function `def grpc_handlers(server): ...`"),
    "an async function": ("async def grpc_handlers(server): ...\n", 1, "not async"),
    "no argument": ("\ndef grpc_handlers(): ...\n", 2, "must take one argument, the server"),
    "an end of the process": ("import sys\n\ndef grpc_handlers(server):\n    sys.exit(0)\n", 4, "SystemExit"),
    "an end at import": ("import sys\nsys.exit()\n", 2, "SystemExit"),
    "a returned list": (
        "\ndef grpc_handlers(server):\n    return []\n",
        2,
        "must add its servicers to the server itself",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_with_app_file_and_line(project: Project, mistake: str) -> None:
    text, line, said = MISTAKES[mistake]
    source = project.add_app("fleet", text)
    with project.configure().manage("rungrpc", "--noreload") as server:
        assert server.wait() == 1
        assert f"CommandError: fleet: {source}:{line}: " in server.log
        assert said in server.log


def test_two_apps_cannot_serve_one_name(project: Project) -> None:
    first, second = project.add_app("first"), project.add_app("second")
    with project.configure().manage("rungrpc", "--noreload") as server:
        assert server.wait() == 1
        assert f"second: {second}:14: {first}:14 has registered test.Echo already" in server.log


TWICE = """
import grpc

async def answer(request, context):
    return request

def grpc_handlers(server):
    handler = grpc.unary_unary_rpc_method_handler(answer)
    for name in NAMES:
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {"Say": handler})])
"""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["test.Echo", "test.Echo"], "has registered test.Echo already"),
        (["grpc.health.v1.Health"], "grpc.health.v1.Health is the server's own"),
    ],
)
def test_one_app_cannot_serve_a_name_twice_nor_the_servers_own(project: Project, names: list[str], said: str) -> None:
    project.add_app("fleet", TWICE.replace("NAMES", repr(names)))
    with project.configure().manage("rungrpc", "--noreload") as server:
        assert server.wait() == 1
        assert said in server.log


QUERIES = """
from django.db import connection

def names():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'one row'")
        return cursor.fetchone()

print("at import", names(), flush=True)

def grpc_handlers(server):
    import asyncio
    asyncio.get_running_loop().call_soon(late)
    print("in the function", names(), flush=True)

def late():
    print("connected later", connection.connection is not None, flush=True)
    try:
        names()
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def test_handlers_may_query_the_database_before_anything_is_served(project: Project) -> None:
    project.add_app("fleet", QUERIES)
    settings = project.configure().directory / "site_settings.py"
    database = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{project.directory}/db.sqlite3"}}
    settings.write_text(f"{settings.read_text()}DATABASES = {database!r}\n")
    with project.manage("rungrpc", "--noreload") as server:
        server.until_serving()
        server.until_logged("connected later False").until_logged("SynchronousOnlyOperation")
        assert "at import ('one row',)" in server.log
        assert "in the function ('one row',)" in server.log
        assert server.end() == 0
