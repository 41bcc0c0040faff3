"""Many calls of one caller: they leave in a few writes on one connection, and their replies are sorted there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.client_metrics import unknown_replies
from django_cfg.modules.django_rpc.connecting import (
    FAILURES,
    SLICE_SECONDS,
    Command,
    is_missing_script,
    is_refusal,
    tells_of_replica,
)
from django_cfg.modules.django_rpc.fused import FusedPath
from django_cfg.modules.django_rpc.link import Link
from django_cfg.modules.django_rpc.outgoing import (
    AfterLoss,
    enqueue_command,
    look_command,
    read_answer,
    refused,
    unreachable,
)
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.replies import pop_command, read_replies
from django_cfg.modules.django_rpc.slots import Outcome, Slot, outcome_after_loss
from django_cfg.rpc.call import Reply

__all__ = ["Batch"]

LOOK_AT_ONCE = 100
WRITE_AT_ONCE = 8
"""Servers run the first of them while the next are written."""


class Batch:
    """Of one thread, which needs no other: nothing is handed over, and servers begin before the last call has left."""

    def __init__(self, path: FusedPath, slots: Sequence[Slot], deadline: float) -> None:
        self._path = path
        self._deadline = deadline
        self._reply_to = path.keys.reply(str(uuid.uuid4()))
        self._waiting = {slot.outgoing.correlation_id: slot for slot in slots}
        self._link: Link | None = None
        self._link_is_good = True
        self._unread = 0
        self._pauses = 0

    def run(self) -> None:
        """Settles the slots; those that are not, at the deadline (monotonic seconds), have got no reply."""
        self._take_link()
        unsent: list[Slot] | None = list(self._waiting.values())
        while unsent is not None and self._link is not None:
            unsent = self._attempt(self._link, unsent)

    def release(self) -> None:
        if self._link is not None and self._link_is_good:
            self._path.give_back(self._link)
        else:
            self._drop()
        missing = len(self._waiting) + max(0, self._unread)
        if missing:
            self._path.abandon(self._reply_to, missing)

    def _take_link(self) -> None:
        try:
            self._link = self._path.take(self._deadline)
        except FAILURES as error:
            self._settle_all(unreachable(error))

    def _attempt(self, link: Link, unsent: Sequence[Slot]) -> list[Slot] | None:
        """Those to send again when the link has broken; None at the end."""
        try:
            self._exchange(link, unsent)
        except FAILURES as error:
            self._drop()
            return self._recover(error)
        except BaseException:
            self._drop()
            raise
        return None

    def _exchange(self, link: Link, unsent: Sequence[Slot]) -> None:
        """Raises one of FAILURES."""
        chunks = [unsent[at : at + WRITE_AT_ONCE] for at in range(0, len(unsent), WRITE_AT_ONCE)]
        commands = [self._send(link, chunk) for chunk in chunks]
        again = [self._confirm(link, chunk) for chunk in chunks]
        for chunk, command, unknown in zip(chunks, commands, again, strict=True):
            if unknown:
                link.send(("EVAL", scripts.ENQUEUE, *command[2:]))
                self._confirm(link, chunk)
        while self._waiting and (left := self._deadline - time.monotonic()) > 0:
            self._deliver(read_replies(link.run(*pop_command(self._reply_to, min(SLICE_SECONDS, left)))))

    def _send(self, link: Link, chunk: Sequence[Slot]) -> Command:
        for slot in chunk:
            slot.run_id = link.run_id
        requests = [(slot.outgoing, self._reply_to) for slot in chunk]
        command = enqueue_command(self._path.keys, self._path.most, requests)
        link.send(command)
        return command

    def _confirm(self, link: Link, chunk: Sequence[Slot]) -> bool:
        """Whether Redis does not know the script, so that these have to be sent again."""
        try:
            answers = link.read()
        except FAILURES as error:
            if not is_refusal(error):
                raise
            if not is_missing_script(error):
                self._refuse(chunk, error)
            return is_missing_script(error)
        for slot, answer in zip(chunk, answers, strict=True):
            try:
                slot.entry_id = read_answer(answer, slot.outgoing.method)
            except RPCError as error:
                self._settle(slot, error)
        return False

    def _deliver(self, replies: Sequence[tuple[str, Reply]]) -> None:
        for correlation_id, reply in replies:
            slot = self._waiting.pop(correlation_id, None)
            if slot is None:
                self._unread -= 1
                unknown_replies.inc()
            else:
                slot.settle(reply)

    def _refuse(self, chunk: Sequence[Slot], error: BaseException) -> None:
        self._link_is_good = not tells_of_replica(error)
        for slot in chunk:
            self._settle(slot, refused(error))

    def _recover(self, cause: Exception) -> list[Slot]:
        """Those to send again, over another link, if there is one before the deadline."""
        if is_refusal(cause):  # of the wait alone: they have been enqueued
            self._pause()
        while self._waiting and time.monotonic() < self._deadline:
            try:
                self._link = Link(self._path.connections, self._deadline)
                return self._unsent(self._link, cause)
            except FAILURES:
                self._drop()
                self._pause()
        return []

    def _pause(self) -> None:
        self._pauses += 1
        time.sleep(min(backoff_seconds(self._pauses), max(0.0, self._deadline - time.monotonic())))

    def _unsent(self, link: Link, cause: Exception) -> list[Slot]:
        unsent = [slot for slot in self._waiting.values() if not slot.run_id]
        sent = [slot for slot in self._waiting.values() if slot.run_id]
        for at in range(0, len(sent), LOOK_AT_ONCE):
            slots = sent[at : at + LOOK_AT_ONCE]
            calls = [(slot.outgoing, slot.entry_id) for slot in slots]
            for slot, found in zip(slots, link.run(*look_command(self._path.keys, calls)), strict=True):
                outcome = outcome_after_loss(slot, found, link.run_id, cause)
                if outcome is AfterLoss.RESEND:
                    unsent.append(slot)
                elif not isinstance(outcome, AfterLoss):
                    self._settle(slot, outcome)
                    self._unread += 1  # what was found in its record may lie in the list, too
        return unsent

    def _settle(self, slot: Slot, outcome: Outcome) -> None:
        del self._waiting[slot.outgoing.correlation_id]
        slot.settle(outcome)

    def _settle_all(self, outcome: Outcome) -> None:
        for slot in list(self._waiting.values()):
            self._settle(slot, outcome)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
