"""Document 3: the parts, and what its illustrations say, against the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.documents import golang, typescript
from tests.documents.accounting import find, runs
from tests.documents.markdown import Block
from tests.documents.project import Project
from tests.documents.snippets import (
    SNIPPET,
    generated,
)


@runs("3:32", "3:50", "3:67", "3:82", "3:92")
def test_components(snippets: Project, block: Callable[[str], Block], tmp_path: Path) -> None:
    session = snippets.session
    session.run(block("3:32"))
    session.run(block("3:50").text.replace("total=100", "total=101"))
    assert session.value("await router.handle_message('tasks.get_stats', {'user_id': '7'})") == {"total": 101}
    session.run(
        "async def handler_func(conn, params: TaskStatsParams) -> TaskStatsResult:\n"
        "    return TaskStatsResult(total=100)\nparams = {'user_id': '7'}\n"
    )
    session.run(block("3:67"))
    assert session.value("result") == {"total": 100}
    session.run(block("3:82"))
    assert session.value(
        "[(m.name, m.params_model.__name__, m.result_model.__name__, m.docstring) for m in methods]"
    ) == [["tasks.get_stats", "TaskStatsParams", "TaskStatsResult", ""]]
    session.run(f"output_dir = {str(tmp_path)!r}")
    session.run(block("3:92"))
    assert {"client.py", "client.ts", "client.go"} <= {path.name for path in tmp_path.iterdir()}


@runs("3:116", "3:135", "3:225")
def test_both_layers_and_the_server_side(snippets: Project, block: Callable[[str], Block]) -> None:
    """The classes of the document against the real router, through its own server side."""
    session = snippets.session
    session.run(find("3:32").text + find("3:50").text)
    for name in ("3:116", "3:135", "3:225"):
        session.run(block(name))
    session.run(
        "import uuid\n"
        "replies, sent = {}, []\n"
        "def generate_uuid(): return str(uuid.uuid4())\n"
        "class centrifugo:\n"
        "    async def publish(channel, data): replies[channel, data['correlation_id']] = data['result']\n"
        "class Client(CentrifugoRPCClient):\n"
        "    user_id = '7'\n"
        "    async def publish(self, channel, message):\n"
        "        sent.append((channel, sorted(message)))\n"
        "        await handle_rpc_request(message)\n"
        "    async def wait_for_response(self, correlation_id): return replies['user#7', correlation_id]\n"
        "api = APIClient()\napi.rpc = Client()\n"
    )
    assert session.value("(await api.tasks_get_stats(TaskStatsParams(user_id='7'))).total") == 100
    assert session.value("sent") == [["rpc.requests", ["correlation_id", "method", "params", "reply_to"]]]


@runs("3:246", "3:267")
def test_type_conversion(snippets: Project, block: Callable[[str], Block]) -> None:
    """What the document's converters say is what is generated."""
    session = snippets.session
    session.run(
        "import types\n"
        "def is_list(t): return get_origin(t) is list\n"
        "def is_optional(t): return get_origin(t) is Union and type(None) in get_args(t)\n"
        "def is_basemodel(t): return isinstance(t, type) and issubclass(t, BaseModel)\n"
    )
    session.run(block("3:246"))
    session.run(block("3:267"))
    model = (
        "class Inner(BaseModel):\n    x: int\n"
        "class Outer(BaseModel):\n"
        "    text: str\n    whole: int\n    real: float\n    flag: bool\n"
        "    many: List[str]\n    inner: Inner\n    maybe: Optional[int]\n"
    )
    folder = generated(snippets, Block("conversion", 3246, "python", model), "Outer")
    session.run(SNIPPET + model)
    wanted = session.value(
        "[(name, pydantic_to_typescript(field.annotation), pydantic_to_go(field.annotation))"
        " for name, field in Outer.model_fields.items()]"
    )
    types_ts = typescript.declarations((folder / "typescript/types.ts").read_text(), comments=False)["Outer"]
    types_go = golang.declarations((folder / "go/types.go").read_text())["Outer"]
    for name, ts, go in wanted:
        assert f" {name}: {ts};" in types_ts
        assert f' {name.capitalize()} {go} `json:"{name}"`' in types_go


@runs("3:320")
def test_redis_engine(block: Callable[[str], Block], tmp_path: Path) -> None:
    comment, _, body = block("3:320").text.partition("\n")
    assert comment == "# centrifugo.json"
    with Project.create(tmp_path, [], CENTRIFUGO={"redis_url": "redis://localhost:6379"}) as project:
        config = json.loads(project.run("python manage.py generate_centrifugo_config"))
    expected = json.loads(body)
    assert {key: config[key] for key in expected} == expected
