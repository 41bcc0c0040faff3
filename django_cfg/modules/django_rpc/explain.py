"""Pure: why no reply came, from what Redis knows of the call when its caller gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.errors import RPCTimeoutError
from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.rpc.call import was_stopped

__all__ = ["MOST_COUNTED", "Facts", "explain", "read_facts", "stopped_error", "timeout_error"]

MOST_COUNTED = 1000
STOPPED = "stopped", "the server stopped it then"


@dataclass(frozen=True, slots=True)
class Facts:
    """What scripts.EXPLAIN has found.

    `record` is the state of the call's record, or empty; `stopped`: a server has ended it at its deadline. `silent`:
    the consumer that has it counts as dead.
    """

    live_servers: int
    entry_there: bool
    consumer: str
    delivered_ms_ago: int
    deliveries: int
    ahead: int
    record: bytes
    stopped: bool = False
    silent: bool = False


def read_facts(answer: Sequence[Any]) -> Facts:
    live, there, consumer, idle, deliveries, ahead, record, silent = answer
    name = consumer.decode(errors="replace") if consumer else ""
    state = (record or b"")[:1]
    return Facts(
        int(live),
        bool(there),
        name,
        int(idle),
        int(deliveries),
        int(ahead),
        state,
        stopped=_was_stopped(state, record),
        silent=bool(silent),
    )


def explain(facts: Facts) -> tuple[str, str]:
    """A state for programs and a sentence for people."""
    if facts.consumer and facts.silent:
        return "server_lost", f"{facts.consumer}, which ran it, has fallen silent; it may have run"
    if facts.consumer:
        seconds = facts.delivered_ms_ago / 1000
        return "running", f"it has been running for {seconds:.1f} s on {facts.consumer}, and may still finish"
    if facts.entry_there and not facts.live_servers:
        return "no_server", f"no server is alive; {_counted(facts.ahead)} requests wait before it"
    if facts.entry_there:
        return "queued", f"it is queued behind {_counted(facts.ahead)} requests and has not begun"
    if facts.stopped:
        return STOPPED
    if facts.record in (protocol.FINISHED, protocol.FINISHED_UNKEPT):
        return "reply_lost", "it has run, but its reply was lost"
    return "gone", "its request is no longer in Redis: it was stopped or dropped at its deadline, trimmed or deleted"


def timeout_error(outgoing: Outgoing, facts: Facts | None) -> RPCTimeoutError:
    """`facts` None: Redis could not be asked."""
    return _error(outgoing, *(("unreachable", "Redis could not be asked why") if facts is None else explain(facts)))


def stopped_error(outgoing: Outgoing) -> RPCTimeoutError:
    """The server itself has said so."""
    return _error(outgoing, *STOPPED)


def _error(outgoing: Outgoing, state: str, sentence: str) -> RPCTimeoutError:
    method, seconds = outgoing.method, outgoing.timeout_seconds
    text = f"no answer to {method} within {seconds:g} s: {sentence}"
    return RPCTimeoutError(text, method=method, timeout_seconds=seconds, details={"state": state})


def _was_stopped(state: bytes, record: bytes) -> bool:
    """Its ending came too late for its caller, who has waited just as long."""
    if state != protocol.FINISHED:
        return False
    error = protocol.read_reply(record[1 + protocol.MARK_BYTES :]).error
    return error is not None and was_stopped(error)


def _counted(ahead: int) -> str:
    return f"{MOST_COUNTED} or more" if ahead >= MOST_COUNTED else str(ahead)
