"""What callers and servers each write down."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.faults.ledger import Ledger

__all__ = ["KINDS", "Effect", "Intent", "Outcome", "Run", "ServerLedger"]


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


KINDS = (Intent, Outcome, Run, Effect)


class ServerLedger:
    """For one thread of one process."""

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger(path, *KINDS)
        self._ledger.connection.execute("CREATE INDEX IF NOT EXISTS effects_by_key ON effects (key)")

    def begin(self, call: str, key: str, delivery: int, pid: int) -> str:
        """The run's id."""
        run = uuid.uuid4().hex
        self._ledger.note(Run(call, run, key, delivery, pid))
        return run

    def take_effect(self, call: str, run: str, key: str) -> str:
        """The run whose effect counts: under a key that has had its effect, the one that had it."""
        connection = self._ledger.connection
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if key:
                found = connection.execute("SELECT run FROM effects WHERE key = ?", (key,)).fetchone()
                if found is not None:
                    return str(found[0])
            self._ledger.note(Effect(call, run, key))
        return run

    def close(self) -> None:
        self._ledger.close()
