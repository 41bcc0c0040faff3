"""Runs the code of one page of the documentation, in order, in a project of its own.

- A block that begins with a path as a comment is that file; of `settings.py` and `urls.py`, an addition.
- `python` runs in the page's session; names live on. `bash` runs in the project; `runcentrifugo`, `rpc_server`,
  `rpc_bridge`, `rungrpc` and agents stay running. A page that names Redis's address has a Redis.
- `text` is what the block before it prints. `json` and `ini` are parsed.
- `typescript` and `go` without a path are pieces of a function that has a connected `rpc` and `api`; all of a page are
  compiled at its end.
- `console` is run where it shows Python's prompt: what follows `$` gets the lines behind `>>>`, and prints the others.
- `mermaid`, `nginx` and blocks without a language are not run.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Callable

from tests.documents import golang, typescript
from tests.documents.markdown import Block
from tests.documents.project import NODE_MODULES, ROOT, Project

__all__ = ["Page"]

_PATH = re.compile(r"(?:#|//) ([\w./-]+\.(?:py|ts|mjs|go|ini|proto))\n")
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|localhost):8000")
_REDIS = re.compile(r"localhost:6379")
_GRPC_PORT = re.compile(r"\b50051\b")
_STREAM_SERVER = re.compile(
    r"^python (?:manage\.py (?:rpc_server|rpc_bridge|rungrpc)|-m \S+\.examples\.agent|courier\.py).*$", re.MULTILINE
)
_SERVER = re.compile(r"^python manage\.py runcentrifugo.*$", re.MULTILINE)
_PROMPT = ">>> "
_DOCUMENTS = ROOT / "tests" / "documents"
_PRELUDE = (
    f"export DOCUMENTS={_DOCUMENTS} NODE_MODULES={NODE_MODULES} SCRIPTS={ROOT / 'scripts'} GOFLAGS=-mod=mod\n"
    f". {_DOCUMENTS / 'shell.sh'}\n"
)
_APPENDED = ("settings.py", "urls.py")


class Page:
    """One page in one project, which has clients in `clients/` when a block needs them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._printed = ""
        self._modules: list[str] = []
        self._functions: list[str] = []
        self._programs: set[str] = set()
        self._runners: dict[str, Callable[[Block], None]] = {
            "python": self._python,
            "bash": self._bash,
            "sh": self._bash,
            "text": self._text,
            "console": self._console,
            "json": lambda block: json.loads(block.text),
            "ini": lambda block: configparser.ConfigParser(strict=False).read_string(block.text),
            "typescript": self._typescript,
            "go": self._go,
        }

    def run(self, blocks: list[Block]) -> None:
        for block in blocks:
            text = _ADDRESS.sub(self._project.address, block.text)
            text = _REDIS.sub(lambda _: self._project.redis_address, text)
            text = _GRPC_PORT.sub(str(self._project.grpc_port), text)
            try:
                self._run(Block(block.page, block.line, block.language, text))
            except AssertionError as error:
                raise AssertionError(f"{block}: {error}") from error
        self._compile()

    def _run(self, block: Block) -> None:
        if path := _PATH.match(block.text):
            self._write(path[1], block.text)
        elif block.language in self._runners:
            self._runners[block.language](block)
        else:
            assert block.language in ("", "mermaid", "nginx", "html"), f"nothing runs {block.language!r}"

    def _write(self, path: str, text: str) -> None:
        target = self._project.directory / path
        before = target.read_text("utf-8") if target.name in _APPENDED and target.exists() else ""
        self._project.write(path, before + text)
        if path.endswith(".ts"):
            self._modules.append(path)
        if path.endswith(".go"):
            self._programs.add(str(target.parent))

    def _python(self, block: Block) -> None:
        if self._project.address in block.text:
            _ = self._project.url
        self._printed = self._project.session.run(block)

    def _bash(self, block: Block) -> None:
        for server in _SERVER.findall(block.text):
            self._project.serve(server)
        for server in _STREAM_SERVER.findall(block.text):
            self._project.start(server)
        commands = _STREAM_SERVER.sub("", _SERVER.sub("", block.text))
        if self._project.address in commands:
            _ = self._project.url
        self._printed = self._project.run(_PRELUDE + commands) if commands.strip() else ""

    def _console(self, block: Block) -> None:
        command, *lines = block.text.splitlines()
        typed = [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]
        if not typed:
            return
        typed_in = "\n".join([f"{command.removeprefix('$ ')} <<'END'", *typed, "END"])
        printed = self._project.run(_PRELUDE + typed_in).replace(_PROMPT, "").strip()
        assert printed == "\n".join(line for line in lines if not line.startswith(_PROMPT)), f"printed was:\n{printed}"

    def _text(self, block: Block) -> None:
        assert block.text.rstrip("\n") in self._printed, f"printed was:\n{self._printed}"

    def _typescript(self, block: Block) -> None:
        imports = "".join(re.findall(r"^import .*\n", block.text, re.MULTILINE))
        body = re.sub(r"^import .*\n", "", block.text, flags=re.MULTILINE)
        source = (
            f"{imports}import type * as clients from './clients/typescript';\n"
            "declare const rpc: clients.CentrifugoRPCClient, api: clients.APIClient, token: string;\n"
            f"export async function piece(): Promise<void> {{ {{\n{body}}} void [rpc, api, token]; }}\n"
        )
        name = f"piece-{block.line}.ts"
        self._project.write(name, source)
        self._modules.append(name)

    def _go(self, block: Block) -> None:
        head = f"func piece{block.line}(ctx context.Context, api *client.APIClient) error"
        self._functions.append(f"{head} {{\n{{\n{block.text}}}\nreturn nil\n}}\n")

    def _compile(self) -> None:
        if self._modules:
            self._project.link_node_modules()
            typescript.compile_strictly(self._project.directory, self._modules)
        if self._functions:
            program = self._project.directory / "pieces"
            client = self._project.directory / "clients" / "go"
            golang.prepare_module(client)
            source = golang.with_imports("pieces", "\n".join(self._functions), 'client "clients/go"')
            self._project.write("pieces/pieces.go", source)
            golang.use_module(program, "clients/go", "../clients/go")
            golang.vet(program)
