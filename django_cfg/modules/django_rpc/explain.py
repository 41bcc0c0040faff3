"""Pure: why no reply came, from what Redis knows of the call when its caller gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.errors import RPCTimeoutError
from django_cfg.modules.django_rpc.outgoing import Outgoing

__all__ = ["MOST_COUNTED", "Facts", "explain", "read_facts", "timeout_error"]

MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Facts:
    """What scripts.EXPLAIN has found; `record` is the state of the call's record, or empty."""

    live_servers: int
    entry_there: bool
    consumer: str
    delivered_ms_ago: int
    deliveries: int
    ahead: int
    record: bytes


def read_facts(answer: Sequence[Any]) -> Facts:
    live, there, consumer, idle, deliveries, ahead, record = answer
    name = consumer.decode(errors="replace") if consumer else ""
    return Facts(int(live), bool(there), name, int(idle), int(deliveries), int(ahead), (record or b"")[:1])


def explain(facts: Facts) -> tuple[str, str]:
    """A state for programs and a sentence for people."""
    if facts.consumer:
        seconds = facts.delivered_ms_ago / 1000
        return "running", f"it has been running for {seconds:.1f} s on {facts.consumer}, and may still finish"
    if facts.entry_there and not facts.live_servers:
        return "no_server", f"no server is alive; {_counted(facts.ahead)} requests wait before it"
    if facts.entry_there:
        return "queued", f"it is queued behind {_counted(facts.ahead)} requests and has not begun"
    if facts.record in (b"=", b"!"):
        return "reply_lost", "it has run, but its reply was lost"
    return "gone", "its request is no longer in Redis: it was dropped at its deadline, trimmed or deleted"


def timeout_error(outgoing: Outgoing, facts: Facts | None) -> RPCTimeoutError:
    """`facts` None: Redis could not be asked."""
    state, sentence = ("unreachable", "Redis could not be asked why") if facts is None else explain(facts)
    method, seconds = outgoing.method, outgoing.timeout_seconds
    text = f"no answer to {method} within {seconds:g} s: {sentence}"
    return RPCTimeoutError(text, method=method, timeout_seconds=seconds, details={"state": state})


def _counted(ahead: int) -> str:
    return f"{MOST_COUNTED} or more" if ahead >= MOST_COUNTED else str(ahead)
