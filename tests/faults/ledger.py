"""What processes write down while faults strike: append only, in one SQLite file that nobody reads before the end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Ledger", "read_all"]

LOCKED_SECONDS = 60
"""A paused process may hold the file's lock for as long as it is paused."""

Row = TypeVar("Row", bound="DataclassInstance")


class Ledger:
    """Has one table for each kind of row, a dataclass. For any thread."""

    def __init__(self, path: Path, *kinds: type[DataclassInstance]) -> None:
        self.connection = sqlite3.connect(path, timeout=LOCKED_SECONDS, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")  # processes die here, not the machine
        for kind in kinds:
            columns = ", ".join(field.name for field in fields(kind))
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {_table(kind)} ({columns})")

    def note(self, *rows: DataclassInstance) -> None:
        with self._lock:
            for row in rows:
                values = astuple(row)
                places = ", ".join("?" * len(values))
                self.connection.execute(f"INSERT INTO {_table(type(row))} VALUES ({places})", values)  # noqa: S608 - our own names

    def close(self) -> None:
        self.connection.close()


def read_all(path: Path, kind: type[Row]) -> Sequence[Row]:
    """In the order in which they were written; none where nobody had anything to write."""
    ledger = Ledger(path, kind)
    try:
        found: list[tuple[Any, ...]] = ledger.connection.execute(
            f"SELECT * FROM {_table(kind)} ORDER BY rowid"  # noqa: S608 - our own names
        ).fetchall()
    finally:
        ledger.close()
    return [kind(*row) for row in found]


def _table(kind: type[DataclassInstance]) -> str:
    return f"{kind.__name__.lower()}s"
