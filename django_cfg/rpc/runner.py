"""Run calls from outside: bounded, each in a task and a context of its own, with a deadline, a claim and a database lane."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.errors import MethodNotFoundError, RPCError, RPCErrorCode, ServiceUnavailableError
from django_cfg.rpc.call import Call, Reply, refusal_for
from django_cfg.rpc.claims import ClaimStore, Verdict, fingerprint
from django_cfg.rpc.connection import Connection
from django_cfg.rpc.failure import describe
from django_cfg.rpc.invoke import check_permissions, run_handler
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.method import Permission, RPCMethodInfo
from django_cfg.rpc.permissions import IsAuthenticated
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.validation import dump_result, read_params_json

__all__ = ["CallRunner", "Limits"]

logger = logging.getLogger("django_cfg.rpc")

KEEP_AFTER_DEADLINE_SECONDS = 10.0
"""How long a claim outlives its call's deadline: clients stop sending a call again at the deadline; the rest is for the way."""


@dataclass(frozen=True, slots=True)
class Limits:
    max_concurrent_calls: int = 2000
    max_concurrent_calls_per_user: int = 1000
    retry_after_seconds: float = 1.0


class CallRunner:
    """Owns the tasks of one event loop; methods are called from that loop only."""

    def __init__(
        self,
        router: MessageRouter,
        *,
        lanes: Lanes,
        claims: ClaimStore,
        limits: Limits | None = None,
        permissions: Sequence[Permission] = (IsAuthenticated(),),
    ) -> None:
        self._router = router
        self._lanes = lanes
        self._claims = claims
        self._limits = limits or Limits()
        self._permissions = permissions
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running: Counter[str | None] = Counter()
        self._draining = False

    @property
    def in_flight(self) -> int:
        """Calls that hold a slot now, those whose caller has stopped waiting included."""
        return self._running.total()

    def start(self, call: Call, encode: Callable[[Reply], bytes], send: Callable[[bytes], Awaitable[None]]) -> None:
        """Run a call in the background and `send` its encoded reply; raises ServiceUnavailableError or RPCError over the bounds."""
        self._admit(call)
        self._spawn(self._run_claimed(call, encode, send))

    async def run(self, call: Call) -> Reply:
        """Run a call that is delivered once only (no claim) and return its reply; over the bounds the reply is an error."""
        try:
            self._admit(call)
        except RPCError as error:
            return Reply.of_error(error)
        return await asyncio.shield(self._spawn(self._run(call)))

    async def run_claimed(
        self, call: Call, encode: Callable[[Reply], bytes], send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """`start`, and wait for its end: for an edge whose loop ends with the request."""
        self._admit(call)
        await asyncio.shield(self._spawn(self._run_claimed(call, encode, send)))

    async def drain(self, timeout_seconds: float) -> int:
        """Refuse new calls and wait for the running ones; returns how many were cancelled at the end of the time."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        late = [task for task in self._tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
        return len(late)

    def _admit(self, call: Call) -> None:
        if self._draining:
            raise ServiceUnavailableError("the server is shutting down", retry_after=self._limits.retry_after_seconds)
        if self.in_flight >= self._limits.max_concurrent_calls:
            raise ServiceUnavailableError("too many calls are running", retry_after=self._limits.retry_after_seconds)
        if self._running[call.user_id] >= self._limits.max_concurrent_calls_per_user:
            raise RPCError(
                "too many of your calls are running",
                code=RPCErrorCode.RATE_LIMIT_EXCEEDED,
                retry_after=self._limits.retry_after_seconds,
            )
        self._running[call.user_id] += 1

    def _release(self, call: Call) -> None:
        self._running[call.user_id] -= 1
        if not self._running[call.user_id]:
            del self._running[call.user_id]

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task with a strong reference and a fresh context: nothing of the request that brought the call is inherited."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a reply could not be delivered", exc_info=error)

    async def _run_claimed(
        self, call: Call, encode: Callable[[Reply], bytes], send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        key = (call.user_id, call.correlation_id)
        method = self._router.get(call.method)
        try:
            decision = await self._claims.claim(
                key,
                fingerprint(call.method, call.params),
                lease_seconds=call.timeout_seconds + KEEP_AFTER_DEADLINE_SECONDS,
                keep_seconds=call.timeout_seconds + KEEP_AFTER_DEADLINE_SECONDS,
                idempotent=method is not None and method.idempotent,
            )
        except BaseException:
            self._release(call)
            raise
        if decision.verdict is Verdict.RUN:
            reply = encode(await self._run(call))
            await self._claims.finish(key, reply)
            await send(reply)
            return
        self._release(call)
        refusal = refusal_for(decision, call)
        if decision.reply is not None:
            await send(decision.reply)
        elif refusal is not None:
            await send(encode(Reply.of_error(refusal)))

    async def _run(self, call: Call) -> Reply:
        """Answer at the deadline at the latest; a handler that goes on after that keeps its slot until it ends."""
        started = time.monotonic()
        handler = self._spawn(self._perform(call, started + call.timeout_seconds))
        handler.add_done_callback(lambda _: self._release(call))
        try:
            await asyncio.wait({handler}, timeout=call.timeout_seconds)
        except asyncio.CancelledError:
            handler.cancel()
            raise
        if handler.done():
            reply: Reply = handler.result()
            return reply
        handler.cancel()
        logger.warning("%s passed its deadline of %.3f s", call.method, call.timeout_seconds)
        return Reply.of_error(
            RPCError(f"{call.method} did not finish within {call.timeout_seconds:g} s", code=RPCErrorCode.TIMEOUT)
        )

    async def _perform(self, call: Call, deadline: float) -> Reply:
        method: RPCMethodInfo | None = None
        try:
            method = self._reachable(call)
            conn = _connection(call, deadline)
            with self._lanes.use():
                await check_permissions(method, conn, self._permissions)
                params = read_params_json(method, call.params)
                value = await run_handler(method, params, conn, self._router.middleware)
                return Reply(result=dump_result(method, value))
        except BaseException as error:  # noqa: BLE001 - a handler's SystemExit must not end the server, nor its CancelledError the reply
            return _failed(error, method)

    def _reachable(self, call: Call) -> RPCMethodInfo:
        method = self._router.lookup(call.method)
        if call.transport not in method.transports:
            raise MethodNotFoundError(f"unknown method {call.method!r}")
        return method


def _connection(call: Call, deadline: float) -> Connection:
    return Connection(
        user_id=call.user_id,
        client_id=call.client_id,
        transport=call.transport,
        meta=call.meta,
        method=call.method,
        correlation_id=call.correlation_id,
        deadline=deadline,
        is_service=call.is_service,
    )


def _failed(error: BaseException, method: RPCMethodInfo | None) -> Reply:
    failure = describe(error, method)
    if failure.unexpected:
        where = f"{method.name} ({method.source})" if method else "a call"
        logger.error(
            "%s failed: %s%s", where, failure.error.message, f"; {failure.hint}" if failure.hint else "", exc_info=error
        )
    return Reply(error=failure.error)
