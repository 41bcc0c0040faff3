"""Build the three drivers over freshly generated clients, and talk to one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.e2e.servers import Servers

HERE = Path(__file__).parent
NODE = HERE.parent / "node"
GO = HERE.parent / "go"
LANGUAGES = ["python", "typescript", "go"]
ANSWER_SECONDS = 60.0


class CallFailed(Exception):
    """What the client under test raised."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.error = error


def build(language: str, servers: Servers, directory: Path) -> list[str]:
    """The command line of a driver."""
    clients = directory / "clients"
    servers.manage(
        "generate_centrifugo_clients", "-o", str(clients), f"--{language}", "--go-module", "example.test/clients"
    )
    return {"python": _build_python, "typescript": _build_typescript, "go": _build_go}[language](directory)


def _build_python(directory: Path) -> list[str]:
    (directory / "clients" / "__init__.py").touch()
    return [sys.executable, str(HERE / "drivers" / "driver.py"), str(directory)]


def _build_typescript(directory: Path) -> list[str]:
    (directory / "node_modules").symlink_to(NODE / "node_modules")
    (directory / "package.json").write_text('{"type": "module"}')
    shutil.copy(HERE / "drivers" / "driver.ts", directory / "driver.ts")
    options = (
        "--strict --module nodenext --moduleResolution nodenext --target es2022 --lib es2023,dom,esnext.disposable"
    )
    _run(
        [NODE / "node_modules/.bin/tsc", *options.split(), "--skipLibCheck", "--outDir", "out", "driver.ts"], directory
    )
    return ["node", str(directory / "out" / "driver.js")]


def _build_go(directory: Path) -> list[str]:
    module = directory / "clients" / "go"
    (module / "driver").mkdir()
    shutil.copy(HERE / "drivers" / "driver.go", module / "driver" / "main.go")
    shutil.copy(GO / "go.sum", module / "go.sum")
    _run(["go", "build", "-mod=mod", "-o", directory / "driver", "./driver"], module)
    return [str(directory / "driver")]


def _run(command: list[Any], directory: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"


class Driver:
    """One running driver program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.pushes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            if "id" not in answer:
                self.pushes.put_nowait(answer)
            elif (future := self._waiting.pop(answer["id"])) and not future.done():
                if "error" in answer:
                    future.set_exception(CallFailed(answer["error"]))
                else:
                    future.set_result(answer["ok"])
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the driver has ended"))

    def start(self, op: str, client: str = "a", **fields: Any) -> tuple[int, asyncio.Future[Any]]:
        number = next(self._ids)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "op": op, "client": client, **fields}).encode() + b"\n")
        return number, future

    async def do(self, op: str, client: str = "a", **fields: Any) -> Any:
        return await asyncio.wait_for(self.start(op, client, **fields)[1], ANSWER_SECONDS)

    async def call(self, method: str, params: Any = None, client: str = "a", **fields: Any) -> Any:
        return await self.do("call", client, method=method, params=params or {}, **fields)

    async def many(self, method: str, params: list[Any], client: str = "a", **fields: Any) -> list[dict[str, Any]]:
        outcomes: list[dict[str, Any]] = await self.do("many", client, method=method, params=params, **fields)
        return outcomes

    async def connect(self, servers: Servers, user_id: str, client: str = "a", **fields: Any) -> None:
        fields = {"url": servers.url, "token": servers.token(user_id), **fields}
        await self.do("connect", client, user_id=user_id, **fields)

    async def next_push(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.pushes.get(), 15)


@contextlib.asynccontextmanager
async def driver(command: list[str]) -> AsyncIterator[Driver]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24, env=os.environ
    )
    running = Driver(process)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await running._reader
