"""Pure: compares what callers were told with what agents did. Everything it finds is a broken promise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from tests.faults.report import Findings
from tests.grpc.chaos.ledger import Answer, Effect, Order, Receipt, Run, Stream

__all__ = ["PROMISES", "Books", "check"]

GOOD = {"completed", "acknowledged", "delivered"}
FAILED = {"rejected", "not_connected", "timed_out", "outcome_unknown"}
RAISED = {"service_unavailable", "timeout", "outcome_unknown", "application_error"}
"""Codes of exceptions: no connection, no answer from the server in time, connection lost, an id in flight."""

HONEST = GOOD | FAILED | RAISED

LATE_SECONDS = 10.0
"""How long after its deadline a caller may still be told: connecting, the server's second, and a busy machine."""

PROMISES = {
    "false_done": "reported done, and the agent has not done it",
    "false_acknowledged": "reported acknowledged, and the agent has not begun with it",
    "too_soon": "reported acknowledged to a caller that waits for the end",
    "wrong_answer": "completed by the answer to another command, or of another stream",
    "second_run": "executed twice under one id",
    "wrong_agent": "delivered to an agent for which it was not meant",
    "superseded": "sent on a stream after the agent had opened a newer one",
    "false_unrun": "reported as not run, and it ran",
    "unnamed": "a failure that does not say what became of the command",
    "never_ended": "a command without an outcome",
    "late": "an outcome long after the deadline",
    "missing": "tried again and again, neither done nor refused for good",
}

_Row = TypeVar("_Row", Order, Answer, Receipt, Run, Effect)


@dataclass(slots=True)
class Books:
    """All rows of one run."""

    orders: Sequence[Order] = field(default_factory=list[Order])
    answers: Sequence[Answer] = field(default_factory=list[Answer])
    streams: Sequence[Stream] = field(default_factory=list[Stream])
    receipts: Sequence[Receipt] = field(default_factory=list[Receipt])
    runs: Sequence[Run] = field(default_factory=list[Run])
    effects: Sequence[Effect] = field(default_factory=list[Effect])

    def story(self, command: str) -> list[str]:
        """Everything that they say of one command."""
        tables = (self.orders, self.answers, self.receipts, self.runs, self.effects)
        return [str(row) for table in tables for row in table if row.command == command]


@dataclass(frozen=True, slots=True)
class _Case:
    """One command; `next_epochs` leads from an agent's epoch to its following one."""

    orders: Sequence[Order]
    answers: Sequence[Answer]
    receipts: Sequence[Receipt]
    runs: Sequence[Run]
    effects: Sequence[Effect]
    next_epochs: Mapping[tuple[str, int], int]


def check(books: Books) -> Findings:
    findings = Findings(PROMISES, codes=Counter(answer.outcome for answer in books.answers))
    answers, receipts = _by_command(books.answers), _by_command(books.receipts)
    runs, effects = _by_command(books.runs), _by_command(books.effects)
    epochs = _next_epochs(books)
    for command, orders in _by_command(books.orders).items():
        case = _Case(orders, answers[command], receipts[command], runs[command], effects[command], epochs)
        for name in {*_broken_by_callers(case), *_broken_by_answers(case), *_broken_by_agents(case)}:
            findings.broken[name].append(command)
    return findings


def _broken_by_callers(case: _Case) -> Iterator[str]:
    if {order.attempt for order in case.orders} != {answer.attempt for answer in case.answers}:
        yield "never_ended"
    said = {answer.attempt: answer.may_have_run for answer in case.answers}
    for run in case.runs:
        so_far = [said[order.attempt] for order in case.orders if order.at <= run.at and order.attempt in said]
        if so_far and not any(so_far):
            yield "false_unrun"
    if len(case.orders) > 1 and not {answer.outcome for answer in case.answers} & (GOOD | {"rejected"}):
        yield "missing"


def _broken_by_answers(case: _Case) -> Iterator[str]:
    done = {effect.run for effect in case.effects}
    begun = {run.run: run for run in case.runs}
    for answer in case.answers:
        if answer.outcome not in HONEST:
            yield "unnamed"
        if answer.seconds > answer.timeout_seconds + LATE_SECONDS:
            yield "late"
        if answer.outcome == "acknowledged" and not begun:
            yield "false_acknowledged"
        if answer.outcome == "acknowledged" and case.orders[0].style == "completed":
            yield "too_soon"
        if answer.outcome == "completed":
            if not done:
                yield "false_done"
            elif answer.run not in done or (answer.attempt == 0 and begun[answer.run].epoch != answer.epoch):
                yield "wrong_answer"


def _broken_by_agents(case: _Case) -> Iterator[str]:
    if len(case.runs) > 1:
        yield "second_run"
    ordered = case.orders[0].agent
    if any({receipt.agent, receipt.addressee} != {ordered} for receipt in case.receipts):
        yield "wrong_agent"
    if any(run.agent != ordered for run in case.runs):
        yield "wrong_agent"
    for receipt in case.receipts:
        following = case.next_epochs.get((receipt.agent, receipt.epoch))
        if following is not None and receipt.sent_at_ms > following:
            yield "superseded"


def _next_epochs(books: Books) -> Mapping[tuple[str, int], int]:
    """An epoch is the server's time in milliseconds at which its stream began, or a little later, never earlier."""
    known: defaultdict[str, set[int]] = defaultdict(set)
    for row in (*books.streams, *books.receipts):
        known[row.agent].add(row.epoch)
    found: dict[tuple[str, int], int] = {}
    for agent, epochs in known.items():
        ordered = sorted(epochs)
        found |= {(agent, epoch): following for epoch, following in pairwise(ordered)}
    return found


def _by_command(rows: Iterable[_Row]) -> defaultdict[str, list[_Row]]:
    grouped: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row.command].append(row)
    return grouped
