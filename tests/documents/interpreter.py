"""The child process of a `Session`: executes blocks one after another in one module and event loop, as a notebook does.

One JSON object per line: in `{"code", "name"}`, out `{"output", "error"}`. The line `null` ends it.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import linecache
import os
import sys
import traceback
import types

import django


def main() -> None:
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    django.setup()
    page = types.ModuleType("page")
    page.__file__ = os.path.join(os.getcwd(), "page.py")
    sys.modules["page"] = page
    loop = asyncio.new_event_loop()
    for line in iter(sys.stdin.readline, "null\n"):
        print(json.dumps(execute(json.loads(line), page, loop)), file=replies, flush=True)
    loop.close()


def execute(request: dict[str, str], page: types.ModuleType, loop: asyncio.AbstractEventLoop) -> dict[str, str | None]:
    code, name = request["code"], request["name"]
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    output = io.StringIO()
    error = None
    with contextlib.redirect_stdout(output):
        try:
            compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if compiled.co_flags & inspect.CO_COROUTINE:
                loop.run_until_complete(types.FunctionType(compiled, vars(page))())
            else:
                exec(compiled, vars(page))  # noqa: S102 - its purpose
        except BaseException:  # noqa: BLE001 - reported to whoever sent the block
            error = traceback.format_exc()
    return {"output": output.getvalue(), "error": error}


if __name__ == "__main__":
    main()
