"""What one edge of the process provides to the rest of it while the edge runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["Provided"]

T = TypeVar("T")


class Provided(Generic[T]):
    """For all threads of the process; what was installed last counts."""

    def __init__(self) -> None:
        self._installed: list[T] = []

    @contextmanager
    def use(self, provided: T) -> Generator[None]:
        """While the block runs; blocks may nest."""
        self._installed.append(provided)
        try:
            yield
        finally:
            self._installed.remove(provided)

    def installed(self) -> T | None:
        """None where no edge provides it."""
        installed = self._installed[-1:]  # another thread may take the last one away meanwhile
        return installed[0] if installed else None
