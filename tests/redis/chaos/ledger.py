"""What callers and servers each write down, append only, in one SQLite file; nobody reads it before the end."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["CallerLedger", "Effect", "Intent", "Outcome", "Run", "ServerLedger", "read_all"]

LOCKED_SECONDS = 60
"""A paused process may hold the file's lock for as long as it is paused."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (call, attempt, style, key, n);
CREATE TABLE IF NOT EXISTS outcomes (
    call, attempt, code, reply_call, reply_run, reply_n, seconds, timeout_seconds, note
);
CREATE TABLE IF NOT EXISTS runs (call, run, key, delivery, pid);
CREATE TABLE IF NOT EXISTS effects (call, run, key);
"""


@dataclass(frozen=True, slots=True)
class Intent:
    """Written before an attempt. `key`: the idempotency key, or empty. `n`: what the reply must bring back."""

    call: str
    attempt: int
    style: str
    key: str
    n: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Written when the caller has learned it. `code`: "ok", "wrong_type", "accepted", or the error's."""

    call: str
    attempt: int
    code: str
    reply_call: str
    reply_run: str
    reply_n: int
    seconds: float
    timeout_seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Run:
    """Written when a handler begins. `delivery`: 1 unless a server died of the request, or with it."""

    call: str
    run: str
    key: str
    delivery: int
    pid: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Written when a handler has done its work; the first one under a key counts for all its runs."""

    call: str
    run: str
    key: str


_Row = TypeVar("_Row", Intent, Outcome, Run, Effect)
TABLES = {Intent: "intents", Outcome: "outcomes", Run: "runs", Effect: "effects"}


class CallerLedger:
    """For any thread."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)
        self._lock = threading.Lock()

    def note(self, *rows: Intent | Outcome) -> None:
        with self._lock:
            for row in rows:
                _append(self._connection, row)

    def close(self) -> None:
        self._connection.close()


class ServerLedger:
    """For one thread of one process."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)

    def begin(self, call: str, key: str, delivery: int, pid: int) -> str:
        """The run's id."""
        run = uuid.uuid4().hex
        _append(self._connection, Run(call, run, key, delivery, pid))
        return run

    def take_effect(self, call: str, run: str, key: str) -> str:
        """The run whose effect counts: under a key that has had its effect, the one that had it."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            if key:
                found = self._connection.execute("SELECT run FROM effects WHERE key = ?", (key,)).fetchone()
                if found is not None:
                    return str(found[0])
            _append(self._connection, Effect(call, run, key))
        return run


def read_all(path: Path, kind: type[_Row]) -> Sequence[_Row]:
    connection = _open(path)
    try:
        rows: list[tuple[Any, ...]] = connection.execute(f"SELECT * FROM {TABLES[kind]} ORDER BY rowid").fetchall()  # noqa: S608 - our own names
    finally:
        connection.close()
    return [kind(*row) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCKED_SECONDS, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # processes die here, not the machine
    connection.executescript(SCHEMA)
    connection.execute("CREATE INDEX IF NOT EXISTS effects_by_key ON effects (key)")
    return connection


def _append(connection: sqlite3.Connection, row: Intent | Outcome | Run | Effect) -> None:
    values = astuple(row)
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {TABLES[type(row)]} VALUES ({places})", values)  # noqa: S608 - our own names
