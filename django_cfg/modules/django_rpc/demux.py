"""The path of many calls at a time: one reply list for the process, a reader that sorts it, a writer that batches."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc.client_metrics import unknown_replies
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    BLOCKING_SECONDS,
    COMMAND_SECONDS,
    FAILURES,
    SLICE_SECONDS,
    is_denied,
    is_refusal,
)
from django_cfg.modules.django_rpc.link import Line
from django_cfg.modules.django_rpc.outgoing import (
    AfterLoss,
    enqueue_command,
    look_command,
    outcome_unknown,
    read_answer,
    refused,
    reply_denied,
    unreachable,
)
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.replies import pop_command, read_replies
from django_cfg.modules.django_rpc.slots import Outcome, Slot, outcome_after_loss
from django_cfg.rpc.call import Reply

__all__ = ["SharedPath"]

WRITE_AT_ONCE = 16


class SharedPath:
    """Its two threads start with the first call and end with `close`. A forked child needs one of its own."""

    def __init__(self, config: WebSocketRPCConfig, keys: Keys) -> None:
        self._keys = keys
        self._most = config.stream_maxlen
        self._reply_list = keys.reply(str(uuid.uuid4()))
        self._reader = Line(config, BLOCKING_SECONDS)
        self._writer = Line(config, COMMAND_SECONDS)
        self._pending: dict[str, list[Slot]] = {}
        self._queue: deque[Slot] = deque()
        self._lock = threading.Lock()
        self._to_write = threading.Event()
        self._to_read = threading.Event()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, slots: Iterable[Slot]) -> None:
        """Each is settled by the reply or an error, unless its caller gives up first (`forget`)."""
        with self._lock:
            for slot in slots:
                # Two calls may share a correlation id, which belongs to their key; the reply is for both.
                self._pending.setdefault(slot.outgoing.correlation_id, []).append(slot)
                self._queue.append(slot)
            if not self._threads and not self._closed:
                self._start()
        # Whoever clears them looks again afterwards; setting what is set would cost every call a lock of its own.
        if not self._to_write.is_set():
            self._to_write.set()
        if not self._to_read.is_set():
            self._to_read.set()
        if self._closed:  # by another thread, and perhaps before these were there to be found
            self._settle_closed()

    def forget(self, slot: Slot) -> bool:
        """Whether it was still pending; nothing settles it any more."""
        with self._lock:
            slots = self._pending.get(slot.outgoing.correlation_id, [])
            pending = slot in slots
            if pending:
                slots.remove(slot)
            if not slots:
                self._pending.pop(slot.outgoing.correlation_id, None)
            return pending

    def close(self) -> None:
        """Ends both threads; what is pending is settled as unknown."""
        self._closed = True
        self._to_write.set()
        self._to_read.set()
        for thread in self._threads:
            thread.join(SLICE_SECONDS + 1)
        self._settle_closed()
        self._reader.close()
        self._writer.close()

    def _settle_closed(self) -> None:
        for slot in self._all_pending():
            self._settle(slot, outcome_unknown(slot.outgoing.method, "the client was closed while it waited"))

    def _start(self) -> None:
        for work in (self._write_all, self._read_all):
            thread = threading.Thread(target=work, name=f"rpc-{work.__name__.strip('_')}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _write_all(self) -> None:
        while not self._closed:
            self._to_write.wait()
            self._to_write.clear()
            while self._queue and not self._closed:
                batch = [self._queue.popleft() for _ in range(min(WRITE_AT_ONCE, len(self._queue)))]
                if slots := self._waited_for(batch):
                    self._write(slots)

    def _write(self, slots: list[Slot]) -> None:
        try:
            link = self._writer.open()
        except FAILURES as error:
            self._settle_unsent(slots, error)
            return
        for slot in slots:
            slot.run_id = link.run_id
        requests = [(slot.outgoing, self._reply_list) for slot in slots]
        try:
            answers = self._writer.enqueue(link, enqueue_command(self._keys, self._most, requests))
        except FAILURES as error:
            if is_refusal(error):
                for slot in slots:
                    self._settle(slot, refused(error))
            else:
                self._settle_after_loss(slots, self._writer, error)
            return
        for slot, answer in zip(slots, answers, strict=True):
            try:
                slot.entry_id = read_answer(answer, slot.outgoing.method)
            except RPCError as error:
                self._settle(slot, error)

    def _settle_unsent(self, slots: Sequence[Slot], cause: BaseException) -> None:
        """Whoever stands behind them is told, too: each attempt to reach Redis may take a second."""
        for slot in (*slots, *(self._queue.popleft() for _ in range(len(self._queue)))):
            why = f"Redis was lost while it was sent ({cause})"
            self._settle(slot, outcome_unknown(slot.outgoing.method, why) if slot.resent else unreachable(cause))

    def _read_all(self) -> None:
        attempt = 0
        while not self._closed:
            if not self._pending:
                self._to_read.wait()
                self._to_read.clear()
                continue
            try:
                popped: Any = self._reader.run(*pop_command(self._reply_list, SLICE_SECONDS))
                attempt = 0
            except FAILURES as error:
                attempt += 1
                self._settle_after_loss(self._all_confirmed(), self._reader, error)
                time.sleep(backoff_seconds(attempt))
                continue
            self._deliver(read_replies(popped))

    def _deliver(self, replies: Sequence[tuple[str, Reply]]) -> None:
        with self._lock:  # once: the threads that call want it as well
            found = [(self._pending.pop(correlation_id, ()), reply) for correlation_id, reply in replies]
        for slots, reply in found:
            if not slots:
                unknown_replies.inc()
            for slot in slots:
                slot.settle(reply)

    def _settle_after_loss(self, slots: Sequence[Slot], client: Line, cause: BaseException) -> None:
        """What became of sent requests when a link broke; waits for Redis as long as anybody waits for them."""
        attempt = 0
        while not self._closed and (slots := self._waited_for(slots)):
            if is_denied(cause):
                for slot in slots:
                    self._settle(slot, reply_denied(slot.outgoing.method, cause))
                return
            attempt += 1
            try:
                found = client.run(*look_command(self._keys, [(slot.outgoing, slot.entry_id) for slot in slots]))
                run_id = client.open().run_id
            except FAILURES:
                time.sleep(backoff_seconds(attempt))
                continue
            for slot, facts in zip(slots, found, strict=True):
                outcome = outcome_after_loss(slot, facts, run_id, cause)
                if outcome is AfterLoss.RESEND:
                    slot.run_id, slot.resent = "", True
                    self._queue.append(slot)
                    self._to_write.set()
                elif not isinstance(outcome, AfterLoss):
                    self._settle(slot, outcome)
            return

    def _settle(self, slot: Slot, outcome: Outcome) -> None:
        """Unless the other thread has just done so, or its caller has gone."""
        if self.forget(slot):
            slot.settle(outcome)

    def _waited_for(self, slots: Sequence[Slot]) -> list[Slot]:
        """The others have been settled, or their callers have given up, and must not run any more."""
        return [slot for slot in slots if slot in self._pending.get(slot.outgoing.correlation_id, ())]

    def _all_pending(self) -> list[Slot]:
        with self._lock:
            return [slot for slots in self._pending.values() for slot in slots]

    def _all_confirmed(self) -> list[Slot]:
        """The writer finds out what became of the others: it may be about to send them again."""
        return [slot for slot in self._all_pending() if slot.entry_id is not None]
