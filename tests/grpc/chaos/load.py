"""Callers of every kind at once, each of which writes down what it orders and what it was told."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from django_cfg.apps.integrations.grpc.services.commands.config import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult
from django_cfg.errors import RPCError
from tests.faults.ledger import Ledger
from tests.grpc.chaos.ledger import Answer, Order

__all__ = ["Load", "Pace"]

Heard: TypeAlias = CommandResult[Any] | bool
Give: TypeAlias = "Callable[[Plan], Awaitable[Heard]]"

STYLES = ("completed", "completed", "acknowledged", "sent")
THREADS = 16
COROUTINES = 16
MOST_ATTEMPTS = 300
AGAIN_AFTER_SECONDS = 0.3
AGAIN = {"not_connected", "timed_out", "outcome_unknown", "application_error"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long agents work and callers rest, at most; and callers' patience."""

    work_seconds: float = 0.16
    rest_seconds: float = 0.1
    timeout_seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One command, as its number and the seed make it; `again`: until the agent has said what became of it."""

    command: pb2.Command
    agent: str
    style: str
    again: bool


class Load:
    """`commands` in all, by threads and by coroutines; some are waited for, some given again until they are done."""

    def __init__(self, port: int, agents: Sequence[str], ledger: Path, *, seed: int, commands: int, pace: Pace) -> None:
        self._seed, self._commands, self._pace = seed, commands, pace
        config = CommandClientConfig(
            connect_timeout=2.0, call_timeout=pace.timeout_seconds, grpc_host="127.0.0.1", grpc_port=port
        )
        self._clients = {agent: FleetCommandClient(agent, config=config) for agent in agents}
        self._ledger = Ledger(ledger, Order, Answer)
        self._next = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS + 1)
        self._running: list[Future[Any]] = []

    @property
    def done(self) -> bool:
        return all(future.done() for future in self._running)

    def start(self) -> None:
        """Each thread has an event loop of its own, which it blocks: its sleeps are the only other thing there."""
        self._running = [self._pool.submit(lambda: asyncio.run(self._work(self._give))) for _ in range(THREADS)]
        self._running.append(self._pool.submit(lambda: asyncio.run(self._coroutines())))

    def finish(self) -> None:
        """Raises what a worker has raised."""
        for future in self._running:
            future.result()
        self._pool.shutdown()
        self._ledger.close()

    async def _coroutines(self) -> None:
        await asyncio.gather(*(self._work(self._agive) for _ in range(COROUTINES)))

    async def _work(self, give: Give) -> None:
        while (number := self._take()) is not None:
            plan = self._plan(number)
            for attempt in range(MOST_ATTEMPTS if plan.again else 1):
                if await self._attempt(plan, attempt, give) not in AGAIN:
                    break
                await asyncio.sleep(AGAIN_AFTER_SECONDS)
            await asyncio.sleep(random.Random(-number).uniform(0, self._pace.rest_seconds))  # noqa: S311 - repeatable

    def _take(self) -> int | None:
        with self._lock:
            number, self._next = self._next, self._next + 1
        return number if number < self._commands else None

    def _plan(self, number: int) -> Plan:
        chance = random.Random(f"{self._seed}-{number}")  # noqa: S311 - a repeatable plan
        work = pb2.Start(reason=f"{chance.uniform(0, self._pace.work_seconds):.4f}")
        style = chance.choice(STYLES)
        return Plan(
            pb2.Command(command_id=f"{self._seed}-{number}", start=work),
            chance.choice(list(self._clients)),
            style,
            style == "completed" and chance.random() < 0.5,
        )

    async def _attempt(self, plan: Plan, attempt: int, give: Give) -> str:
        command_id = plan.command.command_id
        self._ledger.note(Order(command_id, attempt, plan.style, plan.agent, time.time()))
        started = time.monotonic()
        try:
            outcome, may_have_run, epoch, run, note = _said(await give(plan))
        except RPCError as error:
            outcome, may_have_run = str(error.code), bool((error.details or {}).get("may_have_run"))
            epoch, run, note = 0, "", str(error)[:300]
        seconds = time.monotonic() - started
        self._ledger.note(
            Answer(command_id, attempt, outcome, may_have_run, epoch, run, seconds, self._pace.timeout_seconds, note)
        )
        return outcome

    async def _give(self, plan: Plan) -> Heard:
        client = self._clients[plan.agent]
        if plan.style == "sent":
            return client.send_command_sync(plan.command)
        return client.execute_command_sync(plan.command, wait_for=_wait_for(plan))

    async def _agive(self, plan: Plan) -> Heard:
        client = self._clients[plan.agent]
        if plan.style == "sent":
            return await client.send_command(plan.command)
        return await client.execute_command(plan.command, wait_for=_wait_for(plan))


def _wait_for(plan: Plan) -> Any:
    return plan.style


def _said(heard: Heard) -> tuple[str, bool, int, str, str]:
    """Outcome, whether it may have run, epoch, the agent's answer to a completed command, and a note."""
    if isinstance(heard, bool):
        return ("delivered" if heard else "not_connected"), heard, 0, "", ""
    run = heard.detail if heard.outcome == "completed" else ""
    return str(heard.outcome), heard.may_have_run, heard.epoch or 0, run, heard.detail[:300]
