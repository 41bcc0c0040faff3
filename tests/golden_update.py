"""The golden directories: input `handlers.py` beside what is generated from it.

`python -m tests.golden_update` rewrites them. The base clients are left out, because they are copied as they are.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path, PurePosixPath

from django_cfg.apps.centrifugo.codegen.generators import LANGUAGES, Plan, make_plan
from django_cfg.rpc.router import MessageRouter

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/handlers.py"))
_COPIED = {"rpc_client.py", "rpc-client.ts", "rpc_client.go"}


def load(handlers: Path) -> MessageRouter:
    """The router of a case's module, which is called `golden_<case>`."""
    spec = importlib.util.spec_from_file_location(f"golden_{handlers.parent.name}", handlers)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    router = module.router
    assert isinstance(router, MessageRouter)
    return router


def plan(case: str) -> Plan:
    return make_plan(load(GOLDEN / case / "handlers.py").methods(), LANGUAGES)


def expected_files(case: str) -> dict[PurePosixPath, str]:
    made = plan(case)
    warnings = {PurePosixPath("warnings.txt"): "".join(f"{line}\n" for line in made.warnings)} if made.warnings else {}
    return {path: text for path, text in (made.files() | warnings).items() if path.name not in _COPIED}


def committed_files(case: str) -> dict[PurePosixPath, str]:
    found = (path for path in (GOLDEN / case).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    texts = {PurePosixPath(path.relative_to(GOLDEN / case).as_posix()): path.read_bytes().decode() for path in found}
    return {path: text for path, text in texts.items() if path.name != "handlers.py"}


def main() -> None:
    for case in CASES:
        wanted = expected_files(case)
        for path in committed_files(case).keys() - wanted.keys():
            (GOLDEN / case / path).unlink()
        for path, text in wanted.items():
            target = GOLDEN / case / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())


if __name__ == "__main__":
    main()
