"""What the snippets of the documents take for granted, and clients made of them."""

from __future__ import annotations

from pathlib import Path

from tests.documents import golang, typescript
from tests.documents.markdown import Block
from tests.documents.project import Project

SNIPPET = "from typing import *\nfrom pydantic import BaseModel, Field\n"
"""What every snippet may take for granted."""

HANDLERS = SNIPPET + "from django_cfg.apps.centrifugo.decorators import websocket_rpc\n"

STUBS = """
class Params(BaseModel):
    model_config = {"extra": "allow"}

class Result(BaseModel):
    model_config = {"extra": "allow"}

    def __init__(self, *elided: Any, **data: Any) -> None:
        super().__init__(**data)
"""
"""Stand-ins for what the documents name and do not define; `Result(...)` may be written with a literal `...`."""

USER_MODELS = """
import uuid
from django.db import models

def new_id() -> str:
    return uuid.uuid4().hex

class User(models.Model):
    # The unit test gives `user.id` to a field of type str.
    id = models.CharField(primary_key=True, max_length=32, default=new_id)
    username = models.CharField(max_length=50)

class UserProfile(models.Model):
    user_id = models.CharField(max_length=32)
    username = models.CharField(max_length=50)
    email = models.CharField(max_length=50)
"""

TASK_MODELS = """
from django.db import models

class Task(models.Model):
    user = models.ForeignKey("users.User", models.CASCADE)
    title = models.CharField(max_length=50, default="")
    status = models.CharField(max_length=50)
    created_at = models.DateTimeField(auto_now_add=True)
"""

TODO_MODELS = """
from django.db import models

class Todo(models.Model):
    user_id = models.IntegerField()
    title = models.CharField(max_length=50)
    completed = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)
"""


def placeholders(project: Project, user_id: str = "user-123") -> dict[str, str]:
    token = project.session.value(
        f"__import__('django_cfg.apps.centrifugo.tokens', fromlist=['tokens']).create_connection_token({user_id!r})"
    )
    return {"ws://localhost:8000/connection/websocket": project.url, "jwt-token": token}


def generate(project: Project, folder: str, code: str) -> None:
    """Clients in all languages of what `code` registers."""
    project.session.run(
        HANDLERS
        + "from django_cfg.apps.centrifugo.router import get_global_router\n"
        + "from django_cfg.apps.centrifugo.codegen import *\n"
        + "_kept = get_global_router().methods()\nget_global_router().clear()\n"
    )
    project.session.run(code)
    project.session.run(
        "methods = discover_rpc_methods_from_router(get_global_router())\n"
        f"PythonThinGenerator(methods).generate('{folder}/python')\n"
        f"TypeScriptThinGenerator(methods).generate('{folder}/typescript')\n"
        f"GoThinGenerator(methods).generate('{folder}/go')\n"
        "get_global_router().clear()\n"
        "for _method in _kept: get_global_router().add(_method)\n"
    )


def generated(project: Project, models: Block, taken: str) -> Path:
    """Clients of one method that takes the model `taken`."""
    method = (
        "class Nothing(BaseModel): ...\n"
        f'@websocket_rpc("snippet.check")\nasync def check(conn, params: {taken}) -> Nothing: ...\n'
    )
    folder = f"snippet-{models.line}"
    generate(project, folder, models.text + method)
    return project.directory / folder


def assert_declared(folder: Path, *, typescript_block: Block | None = None, go_block: Block | None = None) -> None:
    """The declarations of a block are those generated, up to layout, and comments where the block has none."""
    if typescript_block is not None:
        comments = "/**" in typescript_block.text
        expected = typescript.declarations(typescript_block.text, comments=comments)
        found = typescript.declarations((folder / "typescript/types.ts").read_text(), comments=comments)
        assert expected
        assert {name: found.get(name) for name in expected} == expected
    if go_block is not None:
        wanted = golang.declarations(go_block.text)
        there = golang.declarations((folder / "go/types.go").read_text())
        assert wanted
        assert {name: there.get(name) for name in wanted} == wanted


def naming_methods(block: Block) -> str:
    return HANDLERS + STUBS + block.text
