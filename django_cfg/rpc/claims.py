"""Pure: which of several deliveries of one call may run. Time is passed in, in seconds of any monotonic clock.

A call is claimed under (caller, correlation id) before its handler starts, with a fingerprint of method and parameters
and a lease. The claim is kept until no client can send that call again; then the id may be used anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from typing import Protocol, TypeAlias

from django_cfg.errors import RPCError, RPCErrorCode, ServiceUnavailableError

__all__ = ["Claim", "ClaimStore", "ClaimTable", "Decision", "Key", "Verdict", "fingerprint", "judge"]

Key: TypeAlias = "tuple[str | None, str]"
"""Caller and correlation id."""


class Verdict(Enum):
    RUN = "run"
    """Nobody has run it: it is yours."""
    ANSWER = "answer"
    """It has finished: the stored reply is the answer."""
    WAIT = "wait"
    """It runs: its reply reaches the same caller."""
    CONFLICT = "conflict"
    """The id belongs to another method or other parameters."""
    UNKNOWN = "unknown"
    """Whoever ran it has died, or its reply was too large to keep: it may have run."""


@dataclass(slots=True)
class Claim:
    fingerprint: bytes
    lease_until: float
    keep_until: float
    finished: bool = False
    reply: bytes | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reply: bytes | None = None


class ClaimStore(Protocol):
    """Where claims live: in memory for one process, shared for several. Both methods may raise RPCError."""

    async def claim(
        self, key: Key, mark: bytes, *, lease_seconds: float, keep_seconds: float, idempotent: bool
    ) -> Decision: ...

    async def finish(self, key: Key, reply: bytes) -> None: ...


def fingerprint(method: str, params: bytes) -> bytes:
    """Binds a correlation id to one method and its parameters, byte for byte."""
    return hashlib.blake2b(method.encode() + b"\0" + params, digest_size=16).digest()


def judge(claim: Claim | None, mark: bytes, now: float, *, idempotent: bool) -> Verdict:
    """What a delivery may do, given the claim that is there."""
    if claim is None or claim.keep_until <= now:
        return Verdict.RUN
    if claim.fingerprint != mark:
        return Verdict.CONFLICT
    if claim.finished:
        return Verdict.ANSWER if claim.reply is not None else Verdict.UNKNOWN
    if claim.lease_until > now:
        return Verdict.WAIT
    return Verdict.RUN if idempotent else Verdict.UNKNOWN


class ClaimTable:
    """Claims in memory.

    Stored replies take `max_reply_bytes` in all: the oldest give way first and their claims stay. Claims are never
    dropped early, or a call could run twice: with `max_claims` held, new calls are refused, and with
    `max_claims_of_one` those of that caller.
    """

    def __init__(
        self,
        *,
        max_reply_bytes: int = 64 * 1024 * 1024,
        max_claims: int = 200_000,
        max_claims_of_one: int = 20_000,
    ) -> None:
        self._claims: dict[Key, Claim] = {}
        self._expiries: list[tuple[float, int, Key]] = []
        self._replies: OrderedDict[Key, int] = OrderedDict()  # a dict's first key is behind those that have gone
        self._reply_bytes = 0
        self._max_reply_bytes = max_reply_bytes
        self._max_claims = max_claims
        self._max_claims_of_one = max_claims_of_one
        self._owned: Counter[str | None] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return len(self._claims)

    def claim(
        self, key: Key, mark: bytes, now: float, *, lease_seconds: float, keep_seconds: float, idempotent: bool
    ) -> Decision:
        """Takes the claim when the verdict is RUN; raises RPCError when the table or the caller's part is full."""
        self._expire(now)
        held = self._claims.get(key)
        verdict = judge(held, mark, now, idempotent=idempotent)
        if verdict is Verdict.RUN:
            if held is None:
                self._admit(key[0])
            self._take(key, Claim(mark, now + lease_seconds, now + keep_seconds))
        return Decision(verdict, held.reply if held is not None and verdict is Verdict.ANSWER else None)

    def finish(self, key: Key, reply: bytes) -> None:
        """Stores the reply for deliveries yet to come; a claim that has expired meanwhile is left alone."""
        claim = self._claims.get(key)
        if claim is None or claim.finished:
            return
        claim.finished, claim.reply = True, reply
        self._replies[key] = len(reply)
        self._reply_bytes += len(reply)
        while self._reply_bytes > self._max_reply_bytes:
            self._forget_reply(next(iter(self._replies)))

    def _admit(self, caller: str | None) -> None:
        if len(self._claims) >= self._max_claims:
            raise ServiceUnavailableError("too many calls were made lately", retry_after=1.0)
        if self._owned[caller] >= self._max_claims_of_one:
            raise RPCError(
                "you have made too many calls lately", code=RPCErrorCode.RATE_LIMIT_EXCEEDED, retry_after=1.0
            )
        self._owned[caller] += 1

    def _take(self, key: Key, claim: Claim) -> None:
        self._claims[key] = claim
        self._count += 1
        heappush(self._expiries, (claim.keep_until, self._count, key))

    def _expire(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            _, _, key = heappop(self._expiries)
            claim = self._claims.get(key)
            if claim is not None and claim.keep_until <= now:
                self._forget_reply(key)
                del self._claims[key]
                self._disown(key[0])

    def _disown(self, caller: str | None) -> None:
        self._owned[caller] -= 1
        if not self._owned[caller]:
            del self._owned[caller]

    def _forget_reply(self, key: Key) -> None:
        self._reply_bytes -= self._replies.pop(key, 0)
        self._claims[key].reply = None
