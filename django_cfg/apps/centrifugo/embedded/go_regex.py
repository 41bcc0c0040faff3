"""Pure: regular expressions of Go's syntax, as far as Python's has the same."""

from __future__ import annotations

import re


def compile_go_regex(pattern: str) -> re.Pattern[str]:
    r"""A pattern meant for Go: `$` is the very end of the text, not before a last newline, and `\w` is ASCII."""
    return re.compile(re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", _anchor, pattern, flags=re.DOTALL), re.ASCII)


def _anchor(match: re.Match[str]) -> str:
    return r"\Z" if match[0] == "$" else match[0].replace(r"\z", r"\Z")
