"""Document 5: its code over real sockets, its commands, its trees."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.commands.base import StreamingCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2, fleet_pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.commands.registry import clear_registry, is_registered
from tests.documents.accounting import runs
from tests.documents.conftest import block
from tests.documents.markdown import Block

__all__ = ["block"]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "django_cfg" / "apps" / "integrations" / "grpc"
COMMANDS = PACKAGE / "services" / "commands"
DOCS = ROOT / "docs"

Session = dict[str, Any]


@pytest.fixture(autouse=True)
def your_app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`your_app.grpc.service_pb2`, with the document's names for the messages and the service of the example."""
    pb2, pb2_grpc = ModuleType("your_app.grpc.service_pb2"), ModuleType("your_app.grpc.service_pb2_grpc")
    pb2.Command = fleet_pb2.Command  # type: ignore[attr-defined]
    pb2.SendCommandRequest = fleet_pb2.SendCommandRequest  # type: ignore[attr-defined]
    pb2_grpc.YourServiceStub = fleet_pb2_grpc.FleetStub  # type: ignore[attr-defined]
    folder = ModuleType("your_app.grpc")
    folder.service_pb2, folder.service_pb2_grpc = pb2, pb2_grpc  # type: ignore[attr-defined]
    for module in (ModuleType("your_app"), folder, pb2, pb2_grpc):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    clear_registry()
    yield
    clear_registry()


async def run(code: Block | str, session: Session) -> None:
    """In the session, as a notebook does."""
    import ast
    import builtins
    import inspect
    from types import FunctionType

    session.setdefault("__builtins__", builtins)
    compiled = compile(str(getattr(code, "text", code)), str(code)[:40], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = FunctionType(compiled, session)()
    if inspect.isawaitable(found):
        await found


@asynccontextmanager
async def serving(session: Session, handlers: Block) -> AsyncIterator[tuple[FleetServicer, int]]:
    """What `rungrpc` does with the document's grpc_handlers(server)."""
    servicer = FleetServicer()
    session["YourStreamingService"] = lambda: servicer
    server = grpc.aio.server()
    await run(handlers, session)
    session["grpc_handlers"](server)
    fleet_pb2_grpc.add_FleetServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, port
    finally:
        await server.stop(0)


@asynccontextmanager
async def agent(port: int, agent_id: str) -> AsyncIterator[Any]:
    """Its stream, after the first message of the server."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = fleet_pb2_grpc.FleetStub(channel)
        stream = stub.Connect()
        await stream.write(fleet_pb2.AgentMessage(agent_id=agent_id, hello=fleet_pb2.Hello()))
        assert (await stream.read()).HasField("ping")
        yield stream


@runs("5:37", "5:56", "5:68", "5:172", "5:184")
async def test_the_quick_start(block: Callable[[str], Block], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "document")
    session: Session = {"grpc": grpc, "logger": logging.getLogger("document")}
    await run(block("5:37"), session)
    async with serving(session, block("5:56")) as (servicer, port), agent(port, "123") as stream:
        assert is_registered("your_service")
        cross, same = both(block("5:68"), port)
        for number, code in enumerate((cross, same)):
            session["command"] = fleet_pb2.Command(command_id=f"order-{number}", start=fleet_pb2.Start())
            await run(code, session)
            assert session["success"] is True
            assert (await stream.read()).command_id == f"order-{number}"
        assert session["service"] is servicer._streaming_service  # pyright: ignore[reportPrivateUsage]

        local, remote = block("5:172").text.split("\n\n")
        await run(local, session)
        assert session["client"].is_same_process()
        await run(placed(remote, port), session)
        assert not session["client"].is_same_process()
        assert session["client"].get_grpc_address() == f"localhost:{port}"

        await run(block("5:184"), session)
        assert (await stream.read()).command_id == "order-1"
        session["client"].client_id = "nobody"
        await run(block("5:184"), session)
    await run(block("5:184"), session)
    sent, away, failed = (record.getMessage() for record in caplog.records if record.name == "document")
    assert (sent, away) == ("Command sent", "Client not connected")
    assert re.match("Error: .*UNAVAILABLE", failed, re.DOTALL)


def both(modes: Block, port: int) -> list[str]:
    """The block's two halves, the first with the server's port."""
    cross, same = modes.text.split("# Same-process mode")
    return [placed(cross, port), same.partition("\n")[2]]


def placed(text: str, port: int) -> str:
    assert "grpc_port=50051" in text
    return text.replace("50051", str(port))


@runs("5:162")
async def test_the_declared_class(block: Callable[[str], Block]) -> None:
    """As declared, the class is abstract in name, generic, and its method takes a command and answers with a bool."""
    import inspect
    from abc import ABC
    from typing import Generic, TypeVar

    session: Session = {"ABC": ABC, "Generic": Generic, "TCommand": TypeVar("TCommand")}
    await run(block("5:162"), session)
    declared = session["StreamingCommandClient"]
    assert issubclass(StreamingCommandClient, ABC)
    assert len(StreamingCommandClient.__parameters__) == len(declared.__parameters__) == 1  # type: ignore[attr-defined]
    ours, theirs = StreamingCommandClient._send_command, declared._send_command
    assert inspect.iscoroutinefunction(ours)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert inspect.get_annotations(ours)["return"] == "bool"


@runs("5:105")
def test_its_pytest_commands(block: Callable[[str], Block], tmp_path: Path) -> None:
    """The third runs the tests; of the first two, which are parts of it, what they collect is compared."""
    commands = [line for line in block("5:105").text.splitlines() if line and not line.startswith("#")]
    everything, one_file, coverage = (shlex.split(command)[1:] for command in commands)
    assert "test_base.py" in pytest_run([*one_file, "--collect-only"])
    collected = pytest_run([*everything, "--collect-only"])
    assert {"test_base.py", "test_registry.py", "test_integration.py"} <= set(re.findall(r"<Module (.+)>", collected))

    report = tmp_path / "report"
    coverage[coverage.index("--cov-report=html")] = f"--cov-report=html:{report}"
    printed = pytest_run(coverage, COVERAGE_FILE=str(tmp_path / "coverage"))
    assert re.search(r"\d+ passed", printed)
    assert (report / "index.html").exists()


def pytest_run(arguments: list[str], **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@runs("5:83", "5:219")
def test_its_trees(block: Callable[[str], Block]) -> None:
    for name, root in (("5:83", COMMANDS), ("5:219", PACKAGE)):
        first, *lines = block(name).text.splitlines()
        assert root.parts[-1] == first.strip("/").split("/")[-1]
        paths = [path for path in tree(lines) if path.name != "..."]
        assert len(paths) > 3
        assert [path for path in paths if not (root / path).exists()] == []


def tree(lines: list[str]) -> list[Path]:
    """Paths of a drawn tree, whose levels are four characters wide."""
    found: list[Path] = []
    parents: list[str] = []
    for line in lines:
        drawn = re.match(r"^((?:[│ ]   )*)[├└]── (\S+)", line)
        assert drawn is not None, line
        depth = len(drawn[1]) // 4
        parents = [*parents[:depth], drawn[2].rstrip("/")]
        found.append(Path(*parents))
    return found


def test_what_it_promises_under_commands_is_told_where_it_is() -> None:
    promised = re.findall(
        r"^- \*\*([A-Z]+\.md)\*\*", (ROOT / "tests/documents/5-streaming-commands.md").read_text("utf-8"), re.MULTILINE
    )
    assert promised == ["INDEX.md", "README.md", "ARCHITECTURE.md", "EXAMPLES.md", "SUMMARY.md"]
    readme = COMMANDS / "README.md"
    told = dict(re.findall(r"^\| `@commands/(\S+)` \| \[.*\]\((\S+)\) \|$", readme.read_text("utf-8"), re.MULTILINE))
    assert list(told) == promised
    assert all((readme.parent / page).exists() for page in told.values())
