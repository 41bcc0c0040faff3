"""Run calls from outside: bounded, each in a task and a context of its own, with a deadline, a claim and a lane."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.errors import (
    OutcomeUnknownError,
    RPCError,
    RPCErrorCode,
    ServiceUnavailableError,
)
from django_cfg.rpc import metrics, tracing
from django_cfg.rpc.call import ON_THE_WAY_SECONDS, Call, Reply, refusal_for, stopped
from django_cfg.rpc.call_metrics import UNKNOWN_METHOD, count_answered
from django_cfg.rpc.claims import ClaimStore, Decision, Verdict, fingerprint
from django_cfg.rpc.connection import Connection
from django_cfg.rpc.deadlines import Deadlines
from django_cfg.rpc.failure import describe
from django_cfg.rpc.inherited import run_on_behalf_of
from django_cfg.rpc.invoke import check_permissions, method_not_found, run_handler
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.logs import about
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Permission, RPCMethodInfo
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.running_call import RunningCall
from django_cfg.rpc.validation import dump_result, read_params_json

__all__ = ["CallRunner", "Limits"]

logger = logging.getLogger("django_cfg.rpc")

Encode = Callable[[Reply], bytes]
Send = Callable[[bytes], Awaitable[None]]

LAST_REPLIES_SECONDS = 5.0
"""For the replies of calls that were cut short at the end of a drain."""


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
        claims: ClaimStore | None = None,
        limits: Limits | None = None,
        permissions: Sequence[Permission] | None = None,
    ) -> None:
        self._router = router
        self._lanes = lanes
        self._claims = MemoryClaims() if claims is None else claims
        self._limits = limits or Limits()
        self._permissions = router.default_permissions() if permissions is None else permissions
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open: set[RunningCall] = set()
        self._deadlines = Deadlines(self._open, _expire)
        self._running: Counter[str | None] = Counter()
        self._in_flight = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = False

    @property
    def in_flight(self) -> int:
        """Calls that hold a slot now, those whose caller has stopped waiting included."""
        return self._in_flight

    @property
    def draining(self) -> bool:
        """Whether new calls are refused because the process ends."""
        return self._draining

    def start(self, call: Call, encode: Encode, send: Send) -> None:
        """Run a call in the background and `send` its encoded reply; raises RPCError over the bounds."""
        self._admit(call)
        self._spawn(self._run_claimed(call, encode, send))

    def begin(self, call: Call, done: Callable[[Reply], None]) -> None:
        """Run a call that is delivered once only (no claim), and hand over its reply; raises RPCError over the bounds.

        `done` runs in the handler's task and must not raise.
        """
        self._admit(call)
        self._launch(call, done)

    async def run(self, call: Call) -> Reply:
        """`begin`, and wait for the reply; over the bounds it is an error."""
        try:
            self._admit(call)
        except RPCError as error:
            return Reply.of_error(error)
        return await asyncio.shield(self._launched(call))

    async def run_claimed(self, call: Call, encode: Encode, send: Send) -> None:
        """`start`, and wait for its end: for an edge whose loop ends with the request."""
        self._admit(call)
        await asyncio.shield(self._spawn(self._run_claimed(call, encode, send)))

    async def drain(self, timeout_seconds: float) -> int:
        """Refuse new calls and wait for the running ones; returns how many were cut short at the end of the time.

        Their callers hear that the outcome is unknown: nobody else can tell them, and they would send the call again.
        """
        self._draining = True
        await self._wait_for_tasks(timeout_seconds)
        late = [running for running in self._open if not running.answered]
        for running in late:
            running.cut(_went_down(running.call))
        await self._wait_for_tasks(LAST_REPLIES_SECONDS)
        return len(late)

    async def _wait_for_tasks(self, timeout_seconds: float) -> None:
        handlers = (running.task for running in self._open)
        if tasks := self._tasks.union(task for task in handlers if task is not None):
            await asyncio.wait(tasks, timeout=timeout_seconds)

    def _admit(self, call: Call) -> None:
        retry_after = self._limits.retry_after_seconds
        if self._draining:
            raise ServiceUnavailableError("the server is shutting down", retry_after=retry_after)
        if self._in_flight >= self._limits.max_concurrent_calls:
            raise ServiceUnavailableError("too many calls are running", retry_after=retry_after)
        if self._running[call.user_id] >= self._limits.max_concurrent_calls_per_user:
            raise RPCError(
                "too many of your calls are running", code=RPCErrorCode.RATE_LIMIT_EXCEEDED, retry_after=retry_after
            )
        self._running[call.user_id] += 1
        self._in_flight += 1

    def _release(self, call: Call) -> None:
        self._in_flight -= 1
        self._running[call.user_id] -= 1
        if not self._running[call.user_id]:
            del self._running[call.user_id]

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task with a strong reference and a fresh context, which inherits nothing of the request behind the call."""
        task = self._own_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """To ask for the running one is a system call in older Pythons."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a reply could not be delivered", exc_info=error, extra=about())

    async def _run_claimed(self, call: Call, encode: Encode, send: Send) -> None:
        try:
            decision = await self._claim(call)
        except BaseException as error:
            self._release(call)
            if not isinstance(error, RPCError):
                raise
            await send(encode(Reply.of_error(error)))
            return
        if decision.verdict is Verdict.RUN:
            reply = encode(await self._run(call))
            await self._claims.finish(_claim_key(call), reply)
            await send(reply)
        else:
            self._release(call)
            await _answer_repeat(decision, call, encode, send)

    async def _claim(self, call: Call) -> Decision:
        method = self._router.get(call.method)
        return await self._claims.claim(
            _claim_key(call),
            fingerprint(call.method, call.params),
            lease_seconds=call.timeout_seconds + ON_THE_WAY_SECONDS,
            keep_seconds=call.keep_seconds,
            idempotent=method is not None and method.idempotent,
        )

    async def _run(self, call: Call) -> Reply:
        reply = self._launched(call)
        try:
            return await reply
        except asyncio.CancelledError:  # nobody but the end of the loop has this task
            return _went_down(call)

    def _launched(self, call: Call) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def done(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        self._launch(call, done)
        return future

    def _launch(self, call: Call, done: Callable[[Reply], None]) -> None:
        """Answer at the deadline at the latest; a handler that goes on after that keeps its slot until it ends."""
        running = RunningCall(call, done, self._count)
        self._open.add(running)
        self._deadlines.add(running, self._own_loop())
        running.task = self._own_loop().create_task(self._work(running), context=contextvars.Context())

    async def _work(self, running: RunningCall) -> None:
        try:
            if not running.begin():
                return
            run_on_behalf_of(running)
            reply = await self._perform(running.call, running.deadline)
        except asyncio.CancelledError:
            reply = _went_down(running.call)  # heard only where nobody has answered: at the end of the loop
        except Exception as error:  # noqa: BLE001 - whatever breaks around a handler, its caller hears of it
            reply = _failed(error, running.call, None)
        finally:
            self._open.discard(running)
            self._release(running.call)
        try:
            running.settle(reply)
        except Exception:
            logger.exception("a reply could not be delivered", extra=_about(running.call))

    def _count(self, call: Call, reply: Reply, seconds: float) -> None:
        if metrics.ENABLED:
            count_answered(call, reply, seconds, known=self._router.get(call.method) is not None)

    async def _perform(self, call: Call, deadline: float) -> Reply:
        name = call.method if self._router.get(call.method) is not None else UNKNOWN_METHOD
        parent = call.meta.get("traceparent")
        parent = parent if isinstance(parent, str) else ""
        with tracing.server_span(name, call.method, call.transport, call.correlation_id, parent) as span:
            reply = await self._handle(call, deadline)
            span.end_with("" if reply.error is None else reply.error.code)
            return reply

    async def _handle(self, call: Call, deadline: float) -> Reply:
        method: RPCMethodInfo | None = None
        try:
            method = self._reachable(call)
            conn = _connection(call, deadline)
            with self._lanes.use():
                await check_permissions(method, conn, self._permissions)
                params = read_params_json(method, call.params)
                value = await run_handler(method, params, conn, self._router.middleware)
                return Reply(result=dump_result(method, value))
        except BaseException as error:
            # A handler's SystemExit must not end the server, nor a CancelledError of its own making cost the reply.
            if _is_ours(error):
                raise
            return _failed(error, call, method)

    def _reachable(self, call: Call) -> RPCMethodInfo:
        method = self._router.get(call.method)
        if method is None or call.transport not in method.transports:
            raise method_not_found(call.method)
        return method


def _claim_key(call: Call) -> tuple[str | None, str]:
    return call.user_id, call.correlation_id


async def _answer_repeat(decision: Decision, call: Call, encode: Encode, send: Send) -> None:
    refusal = refusal_for(decision, call)
    if decision.reply is not None:
        await send(decision.reply)
    elif refusal is not None:
        await send(encode(Reply.of_error(refusal)))


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


def _went_down(call: Call) -> Reply:
    return Reply.of_error(OutcomeUnknownError(f"the server went down while {call.method} ran"))


def _expire(running: RunningCall) -> None:
    call = running.call
    logger.warning("%s passed its deadline of %.3f s", call.method, call.timeout_seconds, extra=_about(call))
    late = stopped(f"{call.method} did not finish within {call.timeout_seconds:g} s")
    running.cut(Reply.of_error(late))


def _is_ours(error: BaseException) -> bool:
    """Whether the runner itself has cancelled the current task."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _about(call: Call) -> dict[str, str]:
    return about(method=call.method, correlation_id=call.correlation_id)


def _failed(error: BaseException, call: Call, method: RPCMethodInfo | None) -> Reply:
    failure = describe(error, method)
    if failure.unexpected:
        where = f"{method.name} ({method.source})" if method else "a call"
        hint = f"; {failure.hint}" if failure.hint else ""
        message = failure.error.message
        logger.error("%s failed: %s%s", where, message, hint, exc_info=error, extra=_about(call))
    return Reply(error=failure.error)
