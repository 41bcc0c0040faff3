"""Blocks of the documents for the tests that claim them, and a project for snippets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from django_cfg.tests.websocket.conftest import shared_redis
from tests.documents.accounting import RUN, find
from tests.documents.markdown import Block
from tests.documents.project import Project
from tests.documents.snippets import HANDLERS, STUBS, TASK_MODELS, TODO_MODELS, USER_MODELS

__all__ = ["shared_redis"]


@pytest.fixture
def block(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Block]]:
    """A block by name (document and first line), corrected."""
    claimed = RUN[request.node.originalname]
    used: set[str] = set()

    def take(name: str) -> Block:
        assert name in claimed, f"{name} is not listed at @runs"
        used.add(name)
        return find(name)

    yield take
    assert used == set(claimed)


@pytest.fixture(scope="module")
def snippet_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.create(tmp_path_factory.mktemp("snippets"), ["apps.tasks", "apps.users", "apps.todos"])
    project.write("apps/users/models.py", USER_MODELS)
    project.write("apps/tasks/models.py", TASK_MODELS)
    project.write("apps/todos/models.py", TODO_MODELS)
    with project:
        project.session.run(
            "from django.core.management import call_command\ncall_command('migrate', run_syncdb=True, verbosity=0)\n"
        )
        yield project


@pytest.fixture
def snippets(snippet_project: Project) -> Project:
    """Its router is empty, and what earlier snippets defined is out of the way."""
    snippet_project.session.run(
        HANDLERS
        + STUBS
        + "from django_cfg.apps.centrifugo.router import MessageRouter, get_global_router\n"
        + "from django_cfg.apps.centrifugo.codegen import *\n"
        + "from django_cfg.rpc.connection import Connection\n"
        + "router = get_global_router()\nrouter.clear()\nconn = Connection(user_id='7')\n"
    )
    return snippet_project
