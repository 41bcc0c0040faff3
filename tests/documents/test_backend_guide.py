"""Document 2: handlers, their tests, the complete example."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.documents.accounting import find, runs
from tests.documents.markdown import Block
from tests.documents.project import Project
from tests.documents.snippets import (
    HANDLERS,
    STUBS,
    TASK_MODELS,
    TODO_MODELS,
    USER_MODELS,
    placeholders,
)

SECRETS = {"token_secret": "t" * 32, "proxy_secret": "p" * 32, "api_key": "a" * 32}
"""Tests run with DEBUG off, whatever the settings say."""


CONFTEST = """
import pytest

@pytest.fixture(autouse=True)
def database(transactional_db):
    pass
"""


@runs("2:12", "2:34", "2:68", "2:356", "2:384")
def test_handlers_and_their_tests(block: Callable[[str], Block], tmp_path: Path) -> None:
    with Project.create(tmp_path, ["core.apps.CoreConfig", "apps.tasks", "apps.users"], CENTRIFUGO=SECRETS) as project:
        project.write("apps/users/models.py", USER_MODELS)
        project.write("apps/tasks/models.py", TASK_MODELS)
        project.write("core/centrifugo_handlers.py", block("2:12").text + block("2:34").text)
        project.write("core/apps.py", block("2:68").text)
        project.run("python manage.py generate_centrifugo_clients -o opensdk --python")
        project.run("python manage.py migrate --run-syncdb")
        settings = f"CENTRIFUGO_URL = {project.url!r}\n"
        project.write("scratch_settings.py", (tmp_path / "scratch_settings.py").read_text() + settings)
        names = (
            "from django.conf import settings\n"
            "from apps.users.models import User\nfrom apps.tasks.models import Task\n"
            "from django_cfg.apps.centrifugo.tokens import create_connection_token\n"
            "def generate_test_token(): return create_connection_token('test-user')\n"
        )
        project.write("core/tests/test_centrifugo_handlers.py", names + block("2:356").text + block("2:384").text)
        project.write("conftest.py", CONFTEST)
        project.write("pytest.ini", "[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        report = project.run("PYTHONWARNINGS=default python -m pytest -q --ds scratch_settings core/tests")
    assert "2 passed" in report


@runs("2:87", "2:145")
def test_good_handlers_register_and_bad_ones_say_why(snippets: Project, block: Callable[[str], Block]) -> None:
    snippets.session.run(
        "GetUserParams = Params\nUserResult = Result\nfrom apps.tasks.models import Task\n"
        "class ListParams(BaseModel):\n    user_id: str\nclass ListResult(BaseModel):\n    tasks: list[Any]\n"
    )
    hints, sync = block("2:87"), block("2:145")
    snippets.session.run(hints.part("# ✅ GOOD - Pydantic models with type hints", "# ❌ BAD - No type hints"))
    snippets.session.run(sync.part("# ✅ GOOD", "# ❌ BAD - sync handler"))
    assert snippets.session.value("(await list_tasks(conn, ListParams(user_id='1'))).tasks == [...]") is True
    snippets.session.run("router.clear()")
    untyped = snippets.session.error(hints.part("# ❌ BAD - No type hints"))
    assert re.search(r"RegistrationError: 2-\S+:\d+:\d+: user\.get: .*params: Params\) -> Result'", untyped)
    not_async = snippets.session.error(sync.part("# ❌ BAD - sync handler"))
    assert re.search(
        r"RegistrationError: 2-\S+:\d+:\d+: tasks\.list: .*'async def list_tasks\(conn, params\)'", not_async
    )


@runs("2:289", "2:308", "2:333")
def test_handlers_with_the_database(snippets: Project, block: Callable[[str], Block]) -> None:
    session = snippets.session
    session.run(
        "from apps.tasks.models import Task\nfrom apps.users.models import User, UserProfile\n"
        "ProfileParams = Params\nTaskResult = Result\n"
        "class ProfileResult(BaseModel):\n    username: str\n    email: str\n"
        "class GetTaskParams(BaseModel):\n    task_id: int\n"
        "class ListParams(BaseModel):\n    user_id: str\n"
        "class TaskItem(BaseModel):\n    id: int\n    title: str\n    status: str\n"
        "class ListResult(BaseModel):\n    tasks: list[TaskItem]\n    total: int\n"
        "user = await User.objects.acreate(username='ada')\n"
        "await UserProfile.objects.acreate(user_id='7', username='ada', email='ada@example.com')\n"
        "tasks = [await Task.objects.acreate(user=user, title=t, status='new') for t in ('first', 'second')]\n"
    )
    session.run(block("2:289"))
    assert session.value("(await get_profile(conn, ProfileParams())).username") == "ada"
    session.run(block("2:308"))
    session.run("await get_task(conn, GetTaskParams(task_id=tasks[0].id))")
    assert session.error("await get_task(conn, GetTaskParams(task_id=999))") == "ValueError: Task 999 not found"
    session.run(block("2:333"))
    assert session.value("[t.title for t in (await list_tasks(conn, ListParams(user_id=user.id))).tasks]") == [
        "second",
        "first",
    ]


@runs("2:322", "2:411")
def test_todo_example(block: Callable[[str], Block], tmp_path: Path) -> None:
    with Project.create(tmp_path, ["core", "apps.todos", "apps.tasks", "apps.users", "lookup"]) as project:
        project.write("apps/todos/models.py", TODO_MODELS)
        project.write("apps/tasks/models.py", TASK_MODELS)
        project.write("apps/users/models.py", USER_MODELS)
        project.write("core/centrifugo_handlers.py", block("2:411").text)
        stubs = "class GetTaskParams(BaseModel):\n    task_id: int\n" + STUBS + "TaskResult = Result\n"
        project.write(
            "lookup/handlers.py", HANDLERS + "from apps.tasks.models import Task\n" + stubs + find("2:308").text
        )
        project.run(
            "python manage.py migrate --run-syncdb && python manage.py generate_centrifugo_clients -o sdk --python"
        )
        session = project.session
        token = placeholders(project, "7")["jwt-token"]
        session.run(
            "from sdk.python import *\n"
            f"rpc = CentrifugoRPCClient({project.url!r}, {token!r}, '7')\nawait rpc.connect()\napi = APIClient(rpc)\n"
            "made = (await api.todos_create(CreateTodoParams(title='Write'))).todo\n"
        )
        assert session.value("made.title") == "Write"
        assert (
            session.value("(await api.todos_update(UpdateTodoParams(id=made.id, completed=True))).todo.completed")
            is True
        )
        assert session.value("(await api.todos_list(ListTodosParams(completed=True))).total") == 1
        assert session.value("(await api.todos_delete(DeleteTodoParams(id=made.id))).message") == "Todo 1 deleted"
        assert session.value("(await api.todos_list(ListTodosParams())).total") == 0
        assert session.run(block("2:322")) == "Error: Task 999 not found\n"
        session.run("await rpc.disconnect()")
