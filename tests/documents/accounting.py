"""Which test runs which block of the users' documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.documents.corrections import corrected
from tests.documents.markdown import Block, fenced_blocks

__all__ = ["BLOCKS", "RUN", "find", "runs"]

_FOLDER = Path(__file__).parent
BLOCKS = {
    f"{path.name[0]}:{block.line}": block for path in sorted(_FOLDER.glob("*.md")) for block in fenced_blocks(path)
}
RUN: dict[str, list[str]] = {}
"""Names of blocks by the test that runs them."""

_Test = TypeVar("_Test", bound=Callable[..., object])


def runs(*names: str) -> Callable[[_Test], _Test]:
    """The blocks that a test executes, compiles or compares; its fixture `block` demands that all are used."""

    def mark(test: _Test) -> _Test:
        RUN[test.__name__] = list(names)
        return test

    return mark


def find(name: str) -> Block:
    """A block by name (document and first line), corrected."""
    found = BLOCKS[name]
    return Block(found.page, found.line, found.language, corrected(name, found.text))
