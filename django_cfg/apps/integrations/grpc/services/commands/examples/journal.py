"""Which commands an agent has begun and how they ended, so that each runs once however often it is sent."""

from __future__ import annotations

import sqlite3

__all__ = ["Journal"]

KEPT = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, report BLOB, content BLOB
)
"""


class Journal:
    """In a file it outlives its agent. A command that was begun and has no report ended with the agent."""

    def __init__(self, path: str = ":memory:") -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(SCHEMA)
        if "content" not in [column[1] for column in self._database.execute("PRAGMA table_info(commands)")]:
            self._database.execute("ALTER TABLE commands ADD COLUMN content BLOB")  # a file of an earlier version

    def begin(self, command_id: str, content: bytes = b"") -> bool:
        """False if one of that id was begun before."""
        added = self._database.execute(
            "INSERT OR IGNORE INTO commands (id, content) VALUES (?, ?)", (command_id, content)
        )
        if added.rowcount:
            self._database.execute("DELETE FROM commands WHERE number <= ?", ((added.lastrowid or 0) - KEPT,))
        return bool(added.rowcount)

    def is_same(self, command_id: str, content: bytes) -> bool:
        """Whether the one that was begun under that id had this content, as far as that is known."""
        row = self._database.execute("SELECT content FROM commands WHERE id = ?", (command_id,)).fetchone()
        return row is None or row[0] in (None, content)

    def end(self, command_id: str, report: bytes) -> None:
        self._database.execute("UPDATE commands SET report = ? WHERE id = ?", (report, command_id))

    def close(self) -> None:
        self._database.close()

    def report(self, command_id: str) -> bytes | None:
        """None while it runs, and for ever if the agent ended meanwhile."""
        row = self._database.execute("SELECT report FROM commands WHERE id = ?", (command_id,)).fetchone()
        found: bytes | None = row[0] if row else None
        return found
