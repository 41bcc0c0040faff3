"""`memory://`: the calls of this process answered in this process, by a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from functools import partial

from django_cfg.errors import (
    MalformedMessageError,
    OutcomeUnknownError,
    RPCConnectionError,
    RPCError,
    RPCOverloadedError,
    RPCTimeoutError,
)
from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.broadcasts import BROADCAST_CHANNEL, deliver_published
from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import RETRY_AFTER_SECONDS, Outgoing
from django_cfg.modules.django_rpc.recovery import Repeat, judge_record
from django_cfg.modules.django_rpc.slots import Outcome, Slot, async_slots, longest_timeout, sync_slots
from django_cfg.modules.django_rpc.testing_thread import TestingThread, in_test_case, lent, lent_by_async_test
from django_cfg.rpc.call import Call, Reply
from django_cfg.rpc.delivery import Delivery, installed_delivery
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.logs import about
from django_cfg.rpc.method import Transport
from django_cfg.rpc.router import get_global_router
from django_cfg.rpc.runner import LAST_REPLIES_SECONDS, CallRunner, Limits

__all__ = ["MemoryTransport"]

logger = logging.getLogger("django_cfg.rpc.redis")

CLOSE_SECONDS = LAST_REPLIES_SECONDS + 1


class MemoryTransport:
    """Starts its thread with the first call, in each process anew."""

    def __init__(self, config: WebSocketRPCConfig) -> None:
        self._most = config.stream_maxlen
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._ids = itertools.count()

    def call(self, outgoing: Outgoing) -> Reply:
        (outcome,) = self.many([outgoing])
        if isinstance(outcome, RPCError):
            raise outcome
        return outcome

    def many(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        server = self._running()
        if outgoings and in_test_case():
            return _answered_in_this_thread(server, outgoings)
        slots, wait = sync_slots(outgoings)
        server.submit(slots)
        wait(longest_timeout(outgoings))
        return _outcomes(slots)

    async def amany(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        server = self._running()
        slots, wait = async_slots(outgoings)
        async with lent_by_async_test(server.loop):
            server.submit(slots)
            await wait(longest_timeout(outgoings))
        return _outcomes(slots)

    def send(self, outgoing: Outgoing) -> str:
        slot = Slot(outgoing, lambda: None)
        self._running().submit([slot])
        if isinstance(slot.outcome, RPCOverloadedError):
            raise slot.outcome
        return f"{int(time.time() * 1000)}-{next(self._ids)}"

    def publish(self, channel: str, message: bytes) -> int:
        """Where this process reaches browsers it is the one subscriber of BROADCAST_CHANNEL."""
        delivery = installed_delivery()
        if delivery is None or channel != BROADCAST_CHANNEL:
            return 0
        self._running().deliver(delivery, message)
        return 1

    def close(self) -> None:
        with self._lock:
            server, self._server = self._server, None
        if server is not None and server.pid == os.getpid():
            server.close()

    def _running(self) -> _Server:
        with self._lock:
            if self._server is None or self._server.pid != os.getpid():
                self._server = _Server(self._most)
            return self._server


def _answered_in_this_thread(server: _Server, outgoings: Sequence[Outgoing]) -> list[Outcome]:
    thread, others = TestingThread(), iter(range(len(outgoings) - 1))
    slots = [Slot(outgoing, lambda: thread.release() if next(others, None) is None else None) for outgoing in outgoings]
    with lent(server.loop, thread):
        server.submit(slots)
        thread.work(longest_timeout(outgoings))
    return _outcomes(slots)


def _outcomes(slots: Sequence[Slot]) -> list[Outcome]:
    return [slot.outcome or _timed_out(slot) for slot in slots]


class _Server:
    """Everything but `submit` and `close` happens on its own loop.

    Records are those of Redis, in a dict; a call without a key is never sent twice here, and needs none.
    """

    def __init__(self, most: int) -> None:
        self.pid = os.getpid()
        self._most = most
        self._open = 0
        self._counting = threading.Lock()
        self._records: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._repeats: defaultdict[str, list[Slot]] = defaultdict(list)
        self._lanes = Lanes()
        router = served_router(get_global_router())
        self._runner = CallRunner(router, lanes=self._lanes, limits=Limits(most, most))
        self.loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="rpc-memory", daemon=True)
        self._thread.start()

    def submit(self, slots: Sequence[Slot]) -> None:
        """Those that are too many are settled when this returns."""
        admitted = [slot for slot in slots if self._admit(slot)]
        try:
            self.loop.call_soon_threadsafe(self._begin_all, admitted)
        except RuntimeError:  # another thread has closed the client meanwhile
            for slot in admitted:
                slot.settle(RPCConnectionError("the client was closed before the call was made"))

    def deliver(self, delivery: Delivery, message: bytes) -> None:
        """Whoever published does not wait; what fails unexpectedly is in the log."""
        work = asyncio.run_coroutine_threadsafe(deliver_published(delivery, message), self.loop)
        work.add_done_callback(lambda done: done.result())  # raises what has failed, which concurrent.futures logs

    def close(self) -> None:
        """Cut short what runs, and end the thread; one that is held up ends with the handler that holds it."""
        self.loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(CLOSE_SECONDS)
        self._lanes.close()
        if self._thread.is_alive():
            logger.error("memory:// is closed, but for a handler that overhears its end or blocks", extra=about())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._closing.wait()
        await self._runner.drain(0)

    def _admit(self, slot: Slot) -> bool:
        with self._counting:
            admitted = self._open < self._most
            self._open += admitted
        if not admitted:
            slot.settle(RPCOverloadedError(retry_after=RETRY_AFTER_SECONDS))
        return admitted

    def _release(self) -> None:
        with self._counting:
            self._open -= 1

    def _begin_all(self, slots: Sequence[Slot]) -> None:
        self._forget_old()
        for slot in slots:
            self._begin(slot)

    def _begin(self, slot: Slot) -> None:
        outgoing = slot.outgoing
        if outgoing.key:
            _, record = self._records.get(outgoing.correlation_id, (0.0, b""))
            if record:
                self._release()
                self._answer_repeat(slot, record)
                return
            self._keep(outgoing, protocol.TAKEN + outgoing.mark)
        slot.run_id = "begun"
        try:
            self._runner.begin(_call(outgoing), partial(self._finish, slot))
        except RPCError as error:
            self._finish(slot, Reply.of_error(error))

    def _finish(self, slot: Slot, reply: Reply) -> None:
        outgoing = slot.outgoing
        self._release()
        if outgoing.key:
            self._settle_key(outgoing, reply)
        for waiting in (slot, *self._repeats.pop(outgoing.correlation_id, ())):
            waiting.settle(reply)

    def _settle_key(self, outgoing: Outgoing, reply: Reply) -> None:
        if protocol.is_final(reply):
            self._keep(outgoing, protocol.finished_record(outgoing.mark, protocol.dump_reply(reply), keyed=True))
        else:
            self._records.pop(outgoing.correlation_id, None)

    def _answer_repeat(self, slot: Slot, record: bytes) -> None:
        repeat = judge_record(record, slot.outgoing.mark)
        if repeat is Repeat.WAIT:
            self._repeats[slot.outgoing.correlation_id].append(slot)
        elif repeat is Repeat.ANSWER:
            slot.settle(protocol.read_reply(record[1 + protocol.MARK_BYTES :]))
        elif repeat is Repeat.CONFLICT:
            slot.settle(Reply.of_error(MalformedMessageError("this idempotency key belongs to another call")))
        else:
            slot.settle(Reply.of_error(OutcomeUnknownError("it has run; its reply was too large to keep")))

    def _keep(self, outgoing: Outgoing, record: bytes) -> None:
        self._records.pop(outgoing.correlation_id, None)
        self._records[outgoing.correlation_id] = (time.monotonic() + outgoing.keep_ms / 1000, record)

    def _forget_old(self) -> None:
        """The oldest stand first, and all are kept for about as long."""
        now = time.monotonic()
        while self._records and (oldest := next(iter(self._records))) and self._records[oldest][0] <= now:
            del self._records[oldest]


def _call(outgoing: Outgoing) -> Call:
    return Call(
        method=outgoing.method,
        params=outgoing.params,
        timeout_seconds=outgoing.timeout_seconds or protocol.NO_DEADLINE_SECONDS,
        user_id=outgoing.as_user or None,
        correlation_id=outgoing.correlation_id,
        meta={
            "idempotency_key": outgoing.key or None,
            "delivery_count": 1,
            "traceparent": outgoing.traceparent or None,
        },
        transport=Transport.REDIS,
        is_service=True,
    )


def _timed_out(slot: Slot) -> RPCTimeoutError:
    method, seconds = slot.outgoing.method, slot.outgoing.timeout_seconds
    state = "running" if slot.run_id else "queued"
    return RPCTimeoutError(
        f"no answer to {method} within {seconds:g} s: it is {state}",
        method=method,
        timeout_seconds=seconds,
        details={"state": state},
    )
