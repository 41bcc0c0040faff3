"""What callers, server and agents each write down; `at` is by the clock of the machine that they share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Answer", "Effect", "Order", "Receipt", "Run", "Stream"]


@dataclass(frozen=True, slots=True)
class Order:
    """By a caller, before each attempt. `style`: what it waits for, "sent" if for nothing."""

    command: str
    attempt: int
    style: str
    agent: str
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """By the caller, when it has heard. `outcome`: of CommandOutcome, or the code of an exception."""

    command: str
    attempt: int
    outcome: str
    may_have_run: bool
    epoch: int
    run: str
    """What the agent has said of a completed command: the number of its run."""
    seconds: float
    timeout_seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Stream:
    """By the server, when an agent has connected."""

    agent: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """By an agent, of each command that comes, before it judges it. `sent_at_ms` is the server's time."""

    command: str
    agent: str
    addressee: str
    epoch: int
    sent_at_ms: int


@dataclass(frozen=True, slots=True)
class Run:
    """By an agent, when it begins with a command."""

    command: str
    run: str
    agent: str
    epoch: int
    at: float


@dataclass(frozen=True, slots=True)
class Effect:
    """By the agent, when it has done what was ordered."""

    command: str
    run: str


KINDS = (Order, Answer, Stream, Receipt, Run, Effect)
