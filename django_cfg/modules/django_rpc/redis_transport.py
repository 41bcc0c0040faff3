"""Calls over Redis: each takes the path that suits how many are under way."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from django_cfg.errors import RPCConnectionError, RPCError, RPCTimeoutError
from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.client_metrics import fused_calls, shared_calls
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import FAILURES, Redis, is_missing_script, is_refusal
from django_cfg.modules.django_rpc.demux import SharedPath
from django_cfg.modules.django_rpc.explain import MOST_COUNTED, read_facts, timeout_error
from django_cfg.modules.django_rpc.fused import FusedPath
from django_cfg.modules.django_rpc.outgoing import Outgoing, enqueue_command, outcome_unknown, read_answer, refused
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.slots import Outcome, Slot, async_slots, longest_timeout, sync_slots
from django_cfg.rpc.call import Reply

__all__ = ["RedisTransport"]

MOST_FUSED = 8
"""Calls in flight in this process up to which each has a connection of its own."""


AFTERWARDS_SECONDS = 0.5
"""What a caller who has given up still spends on finding out why, when Redis is silent."""


class RedisTransport:
    """Safe in threads, event loops and forked children; opens nothing before the first call."""

    def __init__(self, config: WebSocketRPCConfig, *, most_fused: int = MOST_FUSED) -> None:
        self._config = config
        self._keys = Keys(config.request_stream, config.consumer_group, config.response_key_prefix)
        self._most_fused = 0 if _is_gevent() else most_fused
        self._start_anew()
        _transports.add(self)

    def call(self, outgoing: Outgoing) -> Reply:
        deadline = time.monotonic() + outgoing.timeout_seconds
        with self._lock:
            self._in_flight += 1
            fused = self._in_flight <= self._most_fused
        (fused_calls if fused else shared_calls).inc()
        try:
            return self._fused_call(outgoing, deadline) if fused else self._shared_call(outgoing, deadline)
        finally:
            with self._lock:
                self._in_flight -= 1

    def many(self, outgoings: Sequence[Outgoing]) -> list[Outcome]:
        slots, wait = sync_slots(outgoings)
        shared_calls.inc(len(slots))
        self._shared.submit(slots)
        try:
            wait(longest_timeout(outgoings))
        except BaseException:
            self._give_up_all(slots)
            raise
        return [slot.outcome or self._time_out(slot) for slot in slots]

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
        command = enqueue_command(
            self._keys, self._config.stream_maxlen, [(outgoing, self._keys.reply(outgoing.correlation_id))]
        )
        try:
            return read_answer(self._enqueue(command)[0], outgoing.method)
        except FAILURES as error:
            if is_refusal(error):
                raise refused(error) from error
            raise outcome_unknown(outgoing.method, f"Redis was lost while it was sent ({error})") from error

    def publish(self, channel: str, message: bytes) -> int:
        """How many subscribers got it."""
        try:
            return int(self._commands.run("PUBLISH", channel, message))
        except FAILURES as error:
            raise RPCConnectionError(f"the broadcast could not be published: {error}") from error

    def close(self) -> None:
        """Calls made later open everything anew."""
        fused, shared, clients = self._fused, self._shared, (self._commands, self._afterwards)
        self._start_anew()
        fused.close()
        shared.close()
        for client in clients:
            client.close()

    def start_anew_in_child(self) -> None:
        """A forked child has its parent's connections, and none of its threads."""
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._fused = FusedPath(self._config, self._keys)
        self._shared = SharedPath(self._config, self._keys)
        self._commands = Redis(self._config, min(4, self._config.redis_max_connections))
        self._afterwards = Redis(self._config, 1, AFTERWARDS_SECONDS)

    def _fused_call(self, outgoing: Outgoing, deadline: float) -> Reply:
        try:
            outcome = self._fused.call(outgoing, deadline)
        except Exception:
            raise
        except BaseException:
            self._withdraw(outgoing, None)
            raise
        if isinstance(outcome, Reply):
            return outcome
        raise self._explained(outgoing, outcome)

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

    def _time_out(self, slot: Slot) -> RPCTimeoutError:
        self._shared.forget(slot)
        return self._explained(slot.outgoing, slot.entry_id)

    def _give_up_all(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._give_up(slot)

    def _give_up(self, slot: Slot) -> None:
        self._shared.forget(slot)
        if slot.outcome is None:
            self._withdraw(slot.outgoing, slot.entry_id)

    def _explained(self, outgoing: Outgoing, entry_id: str | None) -> RPCTimeoutError:
        try:
            answer = self._afterwards.run(
                "EVAL", scripts.EXPLAIN, 3, self._keys.stream, self._keys.servers,
                self._keys.call(outgoing.correlation_id), self._keys.group, entry_id or "0-1", MOST_COUNTED,
            )  # fmt: skip
            error = timeout_error(outgoing, read_facts(answer))
        except FAILURES:
            return timeout_error(outgoing, None)
        self._withdraw(outgoing, entry_id)
        return error

    def _withdraw(self, outgoing: Outgoing, entry_id: str | None) -> None:
        """A server that has not read it will not. Keyed requests stay: others may wait for the same call."""
        if entry_id is None or outgoing.key:
            return
        try:
            self._afterwards.run("XDEL", self._keys.stream, entry_id)
        except FAILURES:
            return  # the server drops it at its deadline

    def _enqueue(self, command: tuple[str | bytes | int, ...]) -> Any:
        try:
            return self._commands.run(*command)
        except FAILURES as error:
            if not is_missing_script(error):
                raise
            return self._commands.run("EVAL", scripts.ENQUEUE, *command[2:])


def _is_gevent() -> bool:
    """Under gevent a greenlet that waits on a connection of its own costs more than the shared reader."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


_transports: weakref.WeakSet[RedisTransport] = weakref.WeakSet()


def _in_child() -> None:
    for transport in list(_transports):
        transport.start_anew_in_child()


os.register_at_fork(after_in_child=_in_child)
