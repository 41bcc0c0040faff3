"""Where code of the documents cannot run as written, and what runs instead. Each text must occur as often as listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CORRECTIONS", "ILLUSTRATIONS", "Correction", "corrected", "placed"]


@dataclass(frozen=True, slots=True)
class Correction:
    block: str
    """Number of the document, and line of the block's first line."""
    old: str
    new: str
    reason: str
    count: int = 1


SYNC_ORM = "the synchronous ORM raises SynchronousOnlyOperation in an async handler: acount() is its async twin"
NO_ALIST = "QuerySet has no alist(): an async comprehension reads it"
NO_SYNC_GET = "get() is not awaitable: aget() is"
NO_FUNCTION = "decorators stacked on nothing show names and are no code: a handler is put below them"
SHELL_COMMENTS = "in a shell a comment cannot follow the backslash that continues a line"
ELISION = "`...` stands for an argument, which the language needs"
EXCERPT = "an excerpt: what `startapp` writes above it is left out"
SIGNATURE = "a list of options with their types and defaults, written like a call"
VERSION_5 = "the keys of Centrifugo 5; version 6 groups them under the engine"

CORRECTIONS = (
    Correction(
        "1:40",
        "class MyAppConfig(AppConfig):\n",
        'from django.apps import AppConfig\n\nclass MyAppConfig(AppConfig):\n    name = "myapp"\n',
        EXCERPT,
    ),
    Correction("1:114", "import (\n", 'package main\n\nimport (\n    "fmt"\n    "log"\n', EXCERPT),
    Correction("1:262", "\\          # Директория для клиентов (обязательно)\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "\\                    # Генерировать Python клиент\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "\\                # Генерировать TypeScript клиент\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "\\                        # Генерировать Go клиент\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "\\                       # Генерировать все клиенты\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "\\  # Кастомный router (опционально)\n", "\\\n", SHELL_COMMENTS),
    Correction("1:262", "                     # Verbose вывод\n", "\n", SHELL_COMMENTS),
    Correction(
        "1:484",
        '@websocket_rpc("tasks.delete")\n',
        '@websocket_rpc("tasks.delete")\nasync def handler(conn, params: Params) -> Result: ...\n',
        NO_FUNCTION,
    ),
    Correction(
        "2:34",
        "total = Task.objects.filter(user_id=user_id).count()",
        "total = await Task.objects.filter(user_id=user_id).acount()",
        SYNC_ORM,
    ),
    Correction(
        "2:34",
        "completed = Task.objects.filter(user_id=user_id, status='completed').count()",
        "completed = await Task.objects.filter(user_id=user_id, status='completed').acount()",
        SYNC_ORM,
    ),
    Correction(
        "2:145",
        "await Task.objects.filter(user_id=params.user_id).alist()",
        "[t async for t in Task.objects.filter(user_id=params.user_id)]",
        NO_ALIST,
    ),
    Correction(
        "2:164",
        '@websocket_rpc("system.stats")     # System statistics\n',
        '@websocket_rpc("system.stats")\nasync def handler(conn, params: Params) -> Result: ...\n',
        NO_FUNCTION,
    ),
    Correction("2:187", "(...)", "({})", ELISION, count=4),
    Correction("2:195", "ctx, ...)", "ctx, client.Params{})", ELISION, count=4),
    Correction(
        "2:289",
        "await UserProfile.objects.get(user_id=user_id)",
        "await UserProfile.objects.aget(user_id=user_id)",
        NO_SYNC_GET,
    ),
    Correction(
        "2:333", "tasks = await Task.objects.filter(\n", "tasks = [t async for t in Task.objects.filter(\n", NO_ALIST
    ),
    Correction("2:333", ".order_by('-created_at').alist()", ".order_by('-created_at')]", NO_ALIST),
    Correction("2:411", "todos = await query.alist()", "todos = [t async for t in query]", NO_ALIST),
    Correction(
        "3:320",
        '  "engine": "redis",\n  "redis_address": "redis://localhost:6379"\n',
        '  "engine": {"type": "redis", "redis": {"address": "redis://localhost:6379"}}\n',
        VERSION_5,
    ),
    Correction(
        "4:69", "from django_cfg.modules.", "from django.http import JsonResponse\nfrom django_cfg.modules.", EXCERPT
    ),
    Correction("4:246", "WebSocketRPCConfig(\n", "def WebSocketRPCConfig(\n", SIGNATURE),
    Correction("4:246", '"INFO",\n)\n', '"INFO",\n): ...\n', SIGNATURE),
    Correction("4:318", "params=...", "params=params", ELISION),
    Correction("4:330", 'method="...", params=...', "method=method, params=params", ELISION),
    Correction("4:330", "rpc.call(...)", "rpc.call(method=method, params=params)", ELISION),
)

ILLUSTRATIONS = {
    "5:134": "a picture of the data's way",
    "1:200": "a sequence diagram",
    "3:8": "a picture of the parts",
    "3:160": "a sequence of steps; the messages in it are those of the block below, which runs",
    "3:293": "a picture of a deployment",
}


def corrected(block: str, text: str) -> str:
    """Raises AssertionError when a text to be corrected is not there as often as listed."""
    for correction in CORRECTIONS:
        if correction.block != block:
            continue
        found = text.count(correction.old)
        assert found == correction.count, f"{block}: {correction.old!r} occurs {found} times, not {correction.count}"
        text = text.replace(correction.old, correction.new)
    return text


def placed(text: str, placeholders: Mapping[str, str]) -> str:
    """With addresses and tokens in place of the documents' examples, each of which must be there."""
    for old, new in placeholders.items():
        assert old in text, f"{old!r} is not there"
        text = text.replace(old, new)
    return text
