"""Pure: compares what callers were told with what servers did. Everything it finds is a broken promise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tests.faults.report import Findings
from tests.redis.chaos.ledger import Effect, Intent, Outcome, Run

__all__ = ["PROMISES", "check", "story"]

_Row = TypeVar("_Row", Intent, Outcome, Run, Effect)

NOT_RUN = {"connection_error", "service_unavailable", "redis_error", "rate_limit_exceeded"}
"""Codes that say: it has not run."""

HONEST = NOT_RUN | {"ok", "accepted", "outcome_unknown", "timeout"}
FREES_KEY = {"timeout", "service_unavailable"}
"""Codes of a server's retryable errors, after which the next attempt under the key may run again."""

LATE_SECONDS = 15.0
"""How long after its deadline a caller may still be told; generous, for the machine is shared."""

PROMISES = {
    "lost_acknowledged": "a reply was received for an effect that is not there",
    "lost_event": "an event was accepted and never ran",
    "wrong_caller": "a reply of another call was received",
    "wrong_type": "a reply of another type, or with another value, was received",
    "duplicate_effect": "an effect took place twice",
    "second_run": "a request ran again although no server had died with it",
    "silent_unknown": "a failure that says that nothing ran, of a call that ran",
    "unnamed_failure": "a failure that does not say what became of the call",
    "never_ended": "a call without an outcome",
    "late": "an outcome long after the deadline",
    "missing": "a keyed call that was tried again and again without success",
}


def story(call: str, *tables: Sequence[Intent | Outcome | Run | Effect]) -> list[str]:
    """Everything that the ledgers say of one call."""
    return [str(row) for table in tables for row in table if row.call == call]


def check(
    intents: Sequence[Intent], outcomes: Sequence[Outcome], runs: Sequence[Run], effects: Sequence[Effect]
) -> Findings:
    findings = Findings(PROMISES, codes=Counter(outcome.code for outcome in outcomes))
    told, ran, done = _by_call(outcomes), _by_call(runs), _by_call(effects)
    counted = {effect.run: effect.call for effect in effects}
    for call, tries in _by_call(intents).items():
        _check_call(findings, tries, told[call], ran[call], done[call], counted)
    return findings


def _check_call(
    findings: Findings,
    tries: Sequence[Intent],
    told: Sequence[Outcome],
    ran: Sequence[Run],
    done: Sequence[Effect],
    counted: Mapping[str, str],
) -> None:
    call, broken = tries[0].call, findings.broken
    ended = {outcome.attempt for outcome in told}
    if any(intent.attempt not in ended for intent in tries):
        broken["never_ended"].append(call)
    for outcome in told:
        for name in _faults_of(outcome, tries[0], counted):
            broken[name].append(call)
    codes = {outcome.code for outcome in told}
    if tries[0].key and "ok" not in codes:
        broken["missing"].append(call)
    if "accepted" in codes and not done:
        broken["lost_event"].append(call)
    if not tries[0].key and ran and codes and codes <= NOT_RUN:
        broken["silent_unknown"].append(call)
    if len(done) > 1 and (tries[0].key or not _died(ran)):
        broken["duplicate_effect"].append(call)
    if _runs_too_many(tries[0], told, ran):
        broken["second_run"].append(call)


def _faults_of(outcome: Outcome, intent: Intent, counted: Mapping[str, str]) -> Iterable[str]:
    if outcome.code == "wrong_type":
        yield "wrong_type"
    elif outcome.code not in HONEST:
        yield "unnamed_failure"
    if outcome.seconds > outcome.timeout_seconds + LATE_SECONDS:
        yield "late"
    if outcome.code != "ok":
        return
    if outcome.reply_call != outcome.call:
        yield "wrong_caller"
    elif outcome.reply_n != intent.n:
        yield "wrong_type"
    if counted.get(outcome.reply_run) != outcome.reply_call:
        yield "lost_acknowledged"


def _runs_too_many(intent: Intent, told: Sequence[Outcome], ran: Sequence[Run]) -> bool:
    """A run with a delivery above 1 has had its reason: a server died with the request, or lost touch with Redis."""
    first = sum(run.delivery == 1 for run in ran)
    if intent.style == "event":
        return first > 1
    if not intent.key:
        return len(ran) > 1
    return first > 1 + sum(outcome.code in FREES_KEY for outcome in told)


def _died(ran: Sequence[Run]) -> bool:
    return any(run.delivery > 1 for run in ran)


def _by_call(rows: Sequence[_Row]) -> defaultdict[str, list[_Row]]:
    grouped: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row.call].append(row)
    return grouped
