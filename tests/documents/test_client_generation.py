"""Document 1: one project with the handlers of all its sections."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.documents import golang, typescript
from tests.documents.accounting import find, runs
from tests.documents.corrections import placed
from tests.documents.markdown import Block
from tests.documents.project import Project
from tests.documents.snippets import (
    HANDLERS,
    STUBS,
    generate,
    naming_methods,
    placeholders,
)

GUIDE_STUBS = (
    HANDLERS
    + STUBS
    + """
GetTaskParams = GetUserParams = GetUserParamsV2 = Params
TaskResult = User = UserV2 = Result

def task_exists(task_id: int) -> bool:
    return False

class SubscribeParams(BaseModel):
    user_id: str
    topics: list[str]

class SubscriptionResult(BaseModel):
    subscription_id: str

class TaskStatus(BaseModel):
    task_id: str

def get_task_status(task_id: str) -> TaskStatus:
    return TaskStatus(task_id=task_id)

class StreamParams(BaseModel):
    source: str
    limit: int

class StreamResult(BaseModel):
    stream_id: str
    channel: str

"""
)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """With clients in all languages; Go's under the path that the document imports."""
    project = Project.create(tmp_path_factory.mktemp("guide"), ["myapp.apps.MyAppConfig", "sections"])
    project.write("myapp/handlers.py", find("1:18").text)
    project.write("myapp/apps.py", find("1:40").text)
    project.write("myapp/routers.py", find("1:326").text)
    project.write("myapp/custom_router.py", find("1:326").text.replace("custom_router", "router"))
    project.write("myapp/__init__.py", "from myapp.custom_router import router\n")
    sections = [
        find("1:460"),
        find("1:475"),
        find("1:501"),
        find("1:554").part("# Handler", "# Python client"),
        find("1:571").part("# Handler", "# TypeScript client"),
        find("1:594").part("# Handler", "# Go client"),
    ]
    project.write("sections/handlers.py", GUIDE_STUBS + "\n".join(section.text for section in sections))
    with project:
        project.run("python manage.py generate_centrifugo_clients -o clients --all --go-module path/to/clients/go")
        project.link_node_modules()
        yield project


@runs("1:18", "1:40")
def test_quick_start_registers_the_handler(guide: Project, block: Callable[[str], Block]) -> None:
    assert block("1:18").text in (guide.directory / "myapp/handlers.py").read_text()
    assert block("1:40").text in (guide.directory / "myapp/apps.py").read_text()
    names = guide.session.value(
        "[m.name for m in __import__('django_cfg.apps.centrifugo.registry', fromlist=['r']).get_global_registry()]"
    )
    assert "tasks.get_stats" in names


def commands(block: Block) -> list[str]:
    """The commands of a shell block, continuation lines joined to them."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@runs("1:50")
def test_quick_start_commands(guide: Project, block: Callable[[str], Block], tmp_path: Path) -> None:
    expected = [{"python", "typescript", "go"}, {"python"}, {"typescript"}, {"go"}, {"python", "typescript", "go"}]
    for command, languages in zip(commands(block("1:50")), expected, strict=True):
        output = tmp_path / f"clients-{len(list(tmp_path.iterdir()))}"
        guide.run(placed(command, {"./clients": str(output)}))
        assert {path.name for path in output.iterdir() if path.is_dir()} == languages


@runs("1:262", "1:275", "1:326", "1:338")
def test_further_commands(guide: Project, block: Callable[[str], Block], tmp_path: Path) -> None:
    assert block("1:326").text in (guide.directory / "myapp/routers.py").read_text()
    (options,) = commands(block("1:262"))
    guide.run(placed(options, {"./clients": str(tmp_path / "options")}))
    for number, command in enumerate(commands(block("1:275"))):
        guide.run(placed(command, {"./sdk": str(tmp_path / f"sdk-{number}")}))
    assert {path.name for path in (tmp_path / "sdk-1").iterdir() if path.is_dir()} == {"python", "typescript"}
    (custom,) = commands(block("1:338"))
    guide.run(placed(custom, {"./clients": str(tmp_path / "custom")}))
    assert "async def custom_method(" in (tmp_path / "custom/python/client.py").read_text()
    assert "tasks_get_stats" not in (tmp_path / "custom/python/client.py").read_text()


THREE_METHODS = (
    HANDLERS
    + """
class TaskStatsParams(BaseModel): ...
class TaskStats(BaseModel): ...
class UserProfileParams(BaseModel): ...
class UserProfile(BaseModel): ...
class NotificationParams(BaseModel): ...
class NotificationResult(BaseModel): ...

@websocket_rpc("tasks.get_stats")
async def get_stats(conn, params: TaskStatsParams) -> TaskStats: ...

@websocket_rpc("users.get_profile")
async def get_profile(conn, params: UserProfileParams) -> UserProfile: ...

@websocket_rpc("notifications.send")
async def send(conn, params: NotificationParams) -> NotificationResult: ...
"""
)


@runs("1:291", "1:224", "1:236", "1:249")
def test_output_and_file_trees(block: Callable[[str], Block], tmp_path: Path) -> None:
    with Project.create(tmp_path, ["app"]) as project:
        project.write("app/handlers.py", THREE_METHODS)
        output = project.run("python manage.py generate_centrifugo_clients --output ./clients --all")
    assert output == block("1:291").text
    for tree in (block("1:224"), block("1:236"), block("1:249")):
        folder, *lines = tree.text.splitlines()
        listed = {line.split()[1] for line in lines}
        assert {path.name for path in (tmp_path / folder).iterdir()} == listed


@runs("1:70", "1:514", "1:554", "1:501")
def test_python_client(guide: Project, block: Callable[[str], Block]) -> None:
    given = placeholders(guide)
    guide.session.run(placed(block("1:70").text, given), "1:70")
    assert guide.session.run("await main()") == "Total: 100, Completed: 75\n"
    guide.session.run(
        "from clients.python import *\n"
        f"rpc = CentrifugoRPCClient({guide.url!r}, {given['jwt-token']!r}, 'user-123')\n"
        "await rpc.connect()\n"
        "api = APIClient(rpc)\n"
        "params = models.Params(task_id=1)\n"
    )
    assert guide.session.run(block("1:554").part("# Python client")) == "Subscribed: sub-123\n"
    assert 'raise ValueError("Task not found")' in block("1:501").text
    assert guide.session.run(block("1:514")) == "Error: Task not found\n"
    guide.session.run("await rpc.disconnect()")


@runs("1:92", "1:571", "3:191")
def test_typescript_blocks(guide: Project, block: Callable[[str], Block]) -> None:
    guide.write("quick-start.ts", placed(block("1:92").text, placeholders(guide)))
    connected = block("1:92").text.partition("const result")[0]
    batch = block("1:571").part("# TypeScript client").text
    guide.write("batch.ts", placed(connected, placeholders(guide)) + batch + "await rpc.disconnect();\n")
    guide.write(
        "architecture.ts",
        "declare function generateUUID(): string;\n"
        "export class Illustration {\n"
        "  constructor(\n"
        "    private client: { publish(channel: string, data: unknown): Promise<unknown> },\n"
        "    private userId: string,\n"
        "  ) {}\n"
        f"  receive(message: unknown): void {{ this.handleResponse(message); }}\n{block('3:191').text}}}\n",
    )
    typescript.compile_strictly(guide.directory, ["quick-start.ts", "batch.ts", "architecture.ts"])
    assert typescript.run(guide.directory, "quick-start.ts") == "Total: 100, Completed: 75\n"
    assert typescript.run(guide.directory, "batch.ts").count("task_id: 'task-") == 3


@runs("1:114", "1:594", "2:195")
def test_go_blocks(guide: Project, block: Callable[[str], Block]) -> None:
    client = guide.directory / "program/path/to/clients/go"
    shutil.copytree(guide.directory / "clients/go", client)
    stream = f"func stream(ctx context.Context, api *APIClient) {{\n{block('1:594').part('# Go client').text}}}\n"
    guide.write("program/path/to/clients/go/stream.go", golang.with_imports("client", stream))
    golang.prepare_module(client)
    golang.use_module(guide.directory / "program", "path/to/clients/go", "path/to/clients/go")
    guide.write("program/main.go", placed(block("1:114").text, placeholders(guide)))
    generate(guide, "program/naming", naming_methods(find("2:164")))
    for name in ("client.go", "types.go", "rpc_client.go"):
        shutil.copy(guide.directory / "program/naming/go" / name, guide.write(f"program/naming/client/{name}", ""))
    shutil.rmtree(guide.directory / "program/naming/go")
    naming = f"func calls(ctx context.Context, api *client.APIClient) {{\n{block('2:195').text}}}\n"
    guide.write("program/naming/calls/calls.go", golang.with_imports("calls", naming, '"program/naming/client"'))
    golang.vet(client)
    golang.vet(guide.directory / "program")
    assert golang.run(guide.directory / "program") == "Total: 100, Completed: 75\n"


@runs("1:460", "1:475")
def test_docstrings_are_in_the_readmes(guide: Project, block: Callable[[str], Block]) -> None:
    for name in ("1:460", "1:475"):
        docstring = re.search(r'"""(.*?)"""', block(name).text, re.DOTALL)
        assert docstring is not None
        for language in ("python", "typescript", "go"):
            readme = (guide.directory / f"clients/{language}/README.md").read_text()
            for line in docstring[1].split("\n"):
                assert line.strip() in readme
