"""Pure: parameters as they may stand in a log."""

from __future__ import annotations

import re
from typing import Any, cast

from pydantic_core import from_json, to_json

__all__ = ["redacted"]

LONGEST_TEXT = 100
LONGEST_LINE = 500
MOST_ITEMS = 20
HIDDEN = "[redacted]"
_SECRET = re.compile(
    r"pass|pwd|secret|token|jwt|bearer|auth|csrf|cookie|session|key|private|signature|credential|seed|mnemonic"
    r"|card|cvv|iban|ssn|otp|mfa|2fa",
    re.IGNORECASE,
)
_PIN = re.compile(r"(?:(?:^|_)(?i:pin)|[a-z]P(?i:in))(?:$|_|[A-Z]|(?i:code))")
"""A word of its own: not that of shipping, nor of pinned."""


def redacted(params: bytes) -> str:
    """JSON without the values of fields that sound secret, cut short; `params` is JSON."""
    line = to_json(_without_secrets(from_json(params))).decode()
    if len(line) > LONGEST_LINE:
        line = line[: LONGEST_LINE - 1] + "…"
    return line if line.isprintable() else _printable(line)


def _printable(line: str) -> str:
    """JSON lets through what turns text around, or what terminals obey."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in line)


def _sounds_secret(name: str) -> bool:
    return bool(_SECRET.search(name) or _PIN.search(name))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())[:MOST_ITEMS]
        return {name: HIDDEN if _sounds_secret(name) else _without_secrets(item) for name, item in items}
    if isinstance(value, list):
        return [_without_secrets(item) for item in cast("list[object]", value)[:MOST_ITEMS]]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value
