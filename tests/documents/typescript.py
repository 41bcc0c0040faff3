"""Compile, run and compare TypeScript."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.documents.project import NODE_MODULES

__all__ = ["compile_strictly", "declarations", "run"]

_STRICT = {
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "target": "ES2022",
    "module": "ESNext",
    "moduleResolution": "bundler",
    "moduleDetection": "force",
    "skipLibCheck": True,
    "noEmit": True,
}


def compile_strictly(directory: Path, files: list[str]) -> None:
    """Raises AssertionError with the compiler's messages; `directory` must hold node_modules."""
    config = {"compilerOptions": _STRICT, "files": files}
    (directory / "tsconfig.json").write_text(json.dumps(config))
    _check([str(NODE_MODULES / ".bin" / "tsc"), "--project", "tsconfig.json"], directory)


def run(directory: Path, file: str) -> str:
    """What a module prints in Node, which gets the WebSocket class that browsers and newer versions of Node have."""
    entry = directory / f"run-{Path(file).stem}.mjs"
    entry.write_text(f"import WebSocket from 'ws';\nglobalThis.WebSocket ??= WebSocket;\nawait import('./{file}');\n")
    bundle = directory / f"{Path(file).stem}.bundle.mjs"
    esbuild = [str(NODE_MODULES / ".bin" / "esbuild"), entry.name, "--bundle", "--platform=node", "--format=esm"]
    # `ws` is CommonJS, which may call require() in a module.
    banner = "--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
    _check([*esbuild, banner, f"--outfile={bundle.name}", "--log-level=warning"], directory)
    return _check(["node", bundle.name], directory)


def declarations(source: str, *, comments: bool) -> dict[str, str]:
    """The interfaces of a source by name, with white space made alike; `comments` says whether they count."""
    if not comments:
        source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    found = re.findall(r"^(?:export )?interface (\w+) (\{.*?^\})", source, re.DOTALL | re.MULTILINE)
    return {name: " ".join(body.split()) for name, body in found}


def _check(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command[:2])}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
