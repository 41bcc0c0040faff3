"""Callers of every kind at once, each of which writes down what it means to do and what it was told."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc.client import RPCCall, WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from tests.faults.ledger import Ledger
from tests.redis.chaos.handlers import Order, Receipt, Total
from tests.redis.chaos.ledger import Intent, Outcome

__all__ = ["Load", "Pace"]

MODELS: dict[str, type[Receipt] | type[Total]] = {"order": Receipt, "total": Total}
MOST_ATTEMPTS = 40
BATCH = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How long handlers work and callers rest, at most; and callers' patience."""

    work_seconds: float = 0.05
    rest_seconds: float = 0.1
    timeout_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One call, as its number and the seed make it."""

    call: str
    method: str
    key: str
    order: Order


class Load:
    """`calls` in all, by threads on either path, by `call_many`, by coroutines and by events; keyed and not."""

    def __init__(self, config: WebSocketRPCConfig, ledger: Path, *, seed: int, calls: int, pace: Pace) -> None:
        self._seed, self._calls, self._pace = seed, calls, pace
        self._ledger = Ledger(ledger, Intent, Outcome)
        self._next = 0
        self._lock = threading.Lock()
        self._fused = WebSocketRPCClient(config, RedisTransport(config, most_fused=1000))
        self._shared = WebSocketRPCClient(config, RedisTransport(config, most_fused=0))
        self._mixed = WebSocketRPCClient(config, RedisTransport(config))
        self._pool = ThreadPoolExecutor(32)
        self._running: list[Future[None]] = []

    @property
    def started(self) -> int:
        return min(self._next, self._calls)

    @property
    def done(self) -> bool:
        return all(future.done() for future in self._running)

    def start(self) -> None:
        workers: list[Callable[[], None]] = []
        for client in (self._fused, self._shared, self._mixed):
            workers += [partial(self._one_by_one, client)] * 5
        workers += [self._many] * 2 + [self._events, lambda: asyncio.run(self._coroutines())]
        self._running = [self._pool.submit(worker) for worker in workers]

    def finish(self) -> None:
        """Raises what a worker has raised."""
        for future in self._running:
            future.result()
        self._pool.shutdown()
        for client in (self._fused, self._shared, self._mixed):
            client.close()
        self._ledger.close()

    def _take(self, count: int = 1) -> list[int]:
        """Numbers of calls to be made; none at the end."""
        with self._lock:
            first = self._next
            self._next += count
        return list(range(first, min(first + count, self._calls)))

    def _plan(self, number: int, *, may_key: bool = True) -> Plan:
        chance = random.Random(f"{self._seed}-{number}")  # noqa: S311 - a repeatable plan
        call = f"{self._seed}-{number}"
        seconds = chance.uniform(0, self._pace.work_seconds)
        method = chance.choice(list(MODELS))
        key = f"key-{call}" if may_key and chance.random() < 0.5 else ""
        return Plan(call, method, key, Order(call=call, n=chance.randrange(10**9), seconds=seconds))

    def _rest(self, number: int) -> float:
        return random.Random(-number).uniform(0, self._pace.rest_seconds)  # noqa: S311 - a repeatable plan

    def _one_by_one(self, client: WebSocketRPCClient) -> None:
        while numbers := self._take():
            plan = self._plan(numbers[0])
            for attempt in range(MOST_ATTEMPTS if plan.key else 1):
                self._intend(plan, attempt, "thread")
                started = time.monotonic()
                outcome = self._outcome(partial(self._call, client, plan))
                self._learn(plan, attempt, outcome, time.monotonic() - started)
                if not isinstance(outcome, Exception):
                    break
                time.sleep(self._pace.rest_seconds)
            time.sleep(self._rest(numbers[0]))

    def _call(self, client: WebSocketRPCClient, plan: Plan) -> Any:
        model = MODELS[plan.method]
        return client.call(plan.method, plan.order, model, self._pace.timeout_seconds, idempotency_key=plan.key)

    def _many(self) -> None:
        while numbers := self._take(BATCH):
            plans = [self._plan(number, may_key=False) for number in numbers]
            for plan in plans:
                self._intend(plan, 0, "many")
            started = time.monotonic()
            results = self._mixed.call_many(
                [RPCCall(plan.method, plan.order, MODELS[plan.method]) for plan in plans], self._pace.timeout_seconds
            )
            for plan, result in zip(plans, results, strict=True):
                self._learn(plan, 0, result, time.monotonic() - started)
            time.sleep(self._rest(numbers[0]))

    def _events(self) -> None:
        while numbers := self._take():
            plan = self._plan(numbers[0], may_key=False)
            self._intend(plan, 0, "event")
            started = time.monotonic()
            outcome = self._outcome(partial(self._mixed.fire_and_forget, plan.method, plan.order))
            self._learn(plan, 0, outcome, time.monotonic() - started)
            time.sleep(self._rest(numbers[0]))

    async def _coroutines(self) -> None:
        await asyncio.gather(*(self._coroutine() for _ in range(6)))

    async def _coroutine(self) -> None:
        while numbers := self._take():
            plan = self._plan(numbers[0])
            for attempt in range(MOST_ATTEMPTS if plan.key else 1):
                self._intend(plan, attempt, "coroutine")
                started = time.monotonic()
                outcome: Any
                try:
                    outcome = await self._shared.acall(
                        plan.method, plan.order, MODELS[plan.method], self._pace.timeout_seconds,
                        idempotency_key=plan.key,
                    )  # fmt: skip
                except (RPCError, ValidationError) as error:
                    outcome = error
                self._learn(plan, attempt, outcome, time.monotonic() - started)
                if not isinstance(outcome, Exception):
                    break
                await asyncio.sleep(self._pace.rest_seconds)
            await asyncio.sleep(self._rest(numbers[0]))

    @staticmethod
    def _outcome(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (RPCError, ValidationError) as error:
            return error

    def _intend(self, plan: Plan, attempt: int, style: str) -> None:
        self._ledger.note(Intent(plan.call, attempt, style, plan.key, plan.order.n))

    def _learn(self, plan: Plan, attempt: int, outcome: Any, seconds: float) -> None:
        code, call, run, n, note = _described(outcome)
        self._ledger.note(
            Outcome(plan.call, attempt, code, call, run, n, seconds, self._pace.timeout_seconds, note[:300])
        )


def _described(outcome: Any) -> tuple[str, str, str, int, str]:
    if isinstance(outcome, Receipt):
        return "ok", outcome.call, outcome.run, outcome.receipt, ""
    if isinstance(outcome, Total):
        return "ok", outcome.call, outcome.run, int(outcome.total), ""
    if isinstance(outcome, RPCError):
        return str(outcome.code), "", "", 0, str(outcome)
    if isinstance(outcome, str):
        return "accepted", "", "", 0, outcome
    return "wrong_type", "", "", 0, repr(outcome)
