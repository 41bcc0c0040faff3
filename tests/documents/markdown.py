"""Pure: what a Markdown page consists of, as far as tests read it: fenced blocks, links, headings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Block", "anchors", "fenced_blocks", "links"]

_FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is that of the first line inside the fence."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def part(self, begin: str | None = None, end: str | None = None, language: str | None = None) -> Block:
        """What stands between two lines of the block, which must be there; the lines themselves are left out."""
        lines = self.text.splitlines(keepends=True)
        stripped = [line.strip() for line in lines]
        first = 0 if begin is None else stripped.index(begin) + 1
        last = len(lines) if end is None else stripped.index(end)
        text = "".join(lines[first:last])
        return replace(self, line=self.line + first, language=language or self.language, text=text)


def fenced_blocks(path: Path) -> list[Block]:
    source = path.read_text("utf-8")
    return [
        Block(path.name, source.count("\n", 0, found.start()) + 2, found[3], _dedented(found[4], len(found[1])))
        for found in _FENCE.finditer(source)
    ]


def links(path: Path) -> list[str]:
    """Targets of links, outside of code."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", _FENCE.sub("", path.read_text("utf-8"))))


def anchors(path: Path) -> set[str]:
    """The fragments under which a page's headings are reached on GitHub."""
    headings = _HEADING.findall(_FENCE.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _dedented(text: str, spaces: int) -> str:
    return "".join(line.removeprefix(" " * spaces) for line in text.splitlines(keepends=True))
