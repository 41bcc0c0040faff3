"""Calls over Redis: each takes the path that suits how many are under way."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django_cfg.errors import RPCConnectionError, RPCError, RPCTimeoutError
from django_cfg.modules.django_rpc.afterwards import Afterwards
from django_cfg.modules.django_rpc.batch import Batch
from django_cfg.modules.django_rpc.client_metrics import fused_calls, shared_calls
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import COMMAND_SECONDS, FAILURES, is_refusal
from django_cfg.modules.django_rpc.demux import SharedPath
from django_cfg.modules.django_rpc.fused import FusedPath
from django_cfg.modules.django_rpc.link import Line, Lines, Link
from django_cfg.modules.django_rpc.outgoing import (
    Outgoing,
    enqueue_command,
    outcome_unknown,
    read_answer,
    refused,
    unreachable,
)
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.slots import Outcome, Slot, async_slots, lone_slots, longest_timeout, sync_slots
from django_cfg.rpc.call import Reply

__all__ = ["RedisTransport"]

MOST_FUSED = 8
"""Calls in flight in this process up to which each has a connection of its own."""

MOST_SHORT = 4
"""Connections for what needs one quick answer."""

OTHER_CONNECTIONS = 3
"""Two of the shared path, one for those who have given up."""


class RedisTransport:
    """Safe in threads, event loops and forked children; opens nothing before the first call."""

    def __init__(self, config: WebSocketRPCConfig, *, most_fused: int = MOST_FUSED) -> None:
        self._config = config
        self._keys = Keys(config.request_stream, config.consumer_group, config.response_key_prefix)
        left = config.redis_max_connections - OTHER_CONNECTIONS
        self._most_short = max(1, min(MOST_SHORT, left))
        self._most_fused = 0 if _is_gevent() else max(0, min(most_fused, left - self._most_short))
        self._start_anew()
        _transports.add(self)

    def call(self, outgoing: Outgoing) -> Reply:
        deadline = time.monotonic() + outgoing.timeout_seconds
        fused = self._begin(1)
        try:
            return self._fused_call(outgoing, deadline) if fused else self._shared_call(outgoing, deadline)
        finally:
            self._end()

    def many(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        if not outgoings:
            return []
        fused = self._begin(len(outgoings))
        try:
            return self._fused_calls(outgoings) if fused else self._shared_calls(outgoings)
        finally:
            self._end()

    async def amany(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        slots, wait = async_slots(outgoings)
        shared_calls.inc(len(slots))
        self._shared.submit(slots)
        try:
            await wait(longest_timeout(outgoings))
        except asyncio.CancelledError:
            await asyncio.to_thread(self._give_up_all, slots)
            raise
        return [
            await asyncio.to_thread(self._time_out, slot) if slot.outcome is None else slot.outcome for slot in slots
        ]

    def send(self, outgoing: Outgoing) -> str:
        """The entry's id. Nobody waits for a reply."""
        request = (outgoing, self._keys.reply(outgoing.correlation_id))
        command = enqueue_command(self._keys, self._config.stream_maxlen, [request])
        with self._short_line() as (line, link):
            try:
                return read_answer(line.enqueue(link, command)[0], outgoing.method)
            except FAILURES as error:
                if is_refusal(error):
                    raise refused(error) from error
                raise outcome_unknown(outgoing.method, f"Redis was lost while it was sent ({error})") from error

    def publish(self, channel: str, message: bytes) -> int:
        """How many subscribers got it."""
        with self._short_line() as (line, _):
            try:
                return int(line.run("PUBLISH", channel, message))
            except FAILURES as error:
                raise RPCConnectionError(f"the broadcast could not be published: {error}") from error

    def close(self) -> None:
        """Calls made later open everything anew."""
        parts = self._fused, self._shared, self._short, self._afterwards
        self._open_anew()
        for part in parts:
            part.close()

    def start_anew_in_child(self) -> None:
        """A forked child has its parent's connections, and none of its threads."""
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self._open_anew()

    def _open_anew(self) -> None:
        self._fused = FusedPath(self._config, self._keys)
        self._shared = SharedPath(self._config, self._keys)
        self._short = Lines(self._config, self._most_short, COMMAND_SECONDS)
        self._afterwards = Afterwards(self._config, self._keys)

    @contextmanager
    def _short_line(self) -> Generator[tuple[Line, Link]]:
        """Raises RPCConnectionError when Redis cannot be reached: nothing was sent."""
        with ExitStack() as stack:
            try:
                line = stack.enter_context(self._short.taken())
                link = line.open()
            except FAILURES as error:
                raise unreachable(error) from error
            yield line, link

    def _begin(self, calls: int) -> bool:
        """Whether whoever makes them has a connection to itself."""
        with self._lock:
            self._in_flight += 1
            fused = self._in_flight <= self._most_fused
        (fused_calls if fused else shared_calls).inc(calls)
        return fused

    def _end(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _fused_call(self, outgoing: Outgoing, deadline: float) -> Reply:
        outcome = self._fused.call(outgoing, deadline, self._afterwards.withdraw)
        if isinstance(outcome, Reply):
            return outcome
        raise self._afterwards.explain(outgoing, outcome)

    def _shared_call(self, outgoing: Outgoing, deadline: float) -> Reply:
        (slot,), wait = sync_slots([outgoing])
        self._shared.submit([slot])
        try:
            wait(deadline - time.monotonic())
        except BaseException:
            self._give_up(slot)
            raise
        outcome = slot.outcome or self._time_out(slot)
        if isinstance(outcome, RPCError):
            raise outcome
        return outcome

    def _fused_calls(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        slots = lone_slots(outgoings)
        batch = Batch(self._fused, slots, time.monotonic() + longest_timeout(outgoings))
        try:
            batch.run()
        except BaseException:
            for slot in slots:
                if slot.outcome is None:
                    self._afterwards.withdraw(slot.outgoing, slot.entry_id)
            raise
        finally:
            batch.release()
        return [slot.outcome or self._afterwards.explain(slot.outgoing, slot.entry_id) for slot in slots]

    def _shared_calls(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        slots, wait = sync_slots(outgoings)
        self._shared.submit(slots)
        try:
            wait(longest_timeout(outgoings))
        except BaseException:
            self._give_up_all(slots)
            raise
        return [slot.outcome or self._time_out(slot) for slot in slots]

    def _time_out(self, slot: Slot) -> RPCTimeoutError:
        self._shared.forget(slot)
        return self._afterwards.explain(slot.outgoing, slot.entry_id)

    def _give_up_all(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._give_up(slot)

    def _give_up(self, slot: Slot) -> None:
        self._shared.forget(slot)
        if slot.outcome is None:
            self._afterwards.withdraw(slot.outgoing, slot.entry_id)


def _is_gevent() -> bool:
    """Under gevent a greenlet that waits on a connection of its own costs more than the shared reader."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


_transports: weakref.WeakSet[RedisTransport] = weakref.WeakSet()


def _in_child() -> None:
    for transport in list(_transports):
        transport.start_anew_in_child()


os.register_at_fork(after_in_child=_in_child)
