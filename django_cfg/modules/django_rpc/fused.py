"""The path of few calls at a time: request and wait leave in one write, on a connection of the calling thread."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable

from django_cfg.errors import RPCError
from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.abandoned import AbandonedLists
from django_cfg.modules.django_rpc.client_metrics import unknown_replies
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    FAILURES,
    SLICE_SECONDS,
    Command,
    blocking_connections,
    is_denied,
    is_missing_script,
    is_refusal,
)
from django_cfg.modules.django_rpc.faults import shown
from django_cfg.modules.django_rpc.link import Link
from django_cfg.modules.django_rpc.outgoing import (
    AfterLoss,
    Outgoing,
    enqueue_command,
    look_command,
    read_answer,
    refused,
    reply_denied,
    unreachable,
)
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import Keys, read_response
from django_cfg.modules.django_rpc.replies import pop_command
from django_cfg.modules.django_rpc.slots import lone_slots, outcome_after_loss
from django_cfg.rpc.call import Reply
from django_cfg.rpc.logs import about

__all__ = ["FusedPath"]

logger = logging.getLogger("django_cfg.rpc.redis")

MOST_IDLE = 16

LONGER_THAN_AN_ID = 27
"""Bytes. The answer to one request is the id of its entry, in 26 as a rule, which can wait for the reply: a thread that
is not woken for it leaves the processor, and the interpreter, to others.
"""

DOZE_SECONDS = SLICE_SECONDS + 0.02
"""Then the end of the first slice lies there, too: alone it has too few bytes to wake anybody."""


class FusedPath:
    """Keeps idle links for the next callers; any thread may call."""

    def __init__(self, config: WebSocketRPCConfig, keys: Keys) -> None:
        self.connections = blocking_connections(config)
        self.keys = keys
        self.most = config.stream_maxlen
        self._client_name = config.client_name
        self._abandoned = AbandonedLists(config.response_key_ttl)
        self._idle: deque[Link] = deque(maxlen=MOST_IDLE)

    def call(
        self, outgoing: Outgoing, deadline: float, withdraw: Callable[[Outgoing, str | None], None]
    ) -> Reply | str | None:
        """The reply, or at the `deadline` (monotonic seconds) the entry's id, or None if Redis never confirmed it.

        Raises NoResponders, RPCOverloadedError, RPCConnectionError. `withdraw` gets what an interrupt has left behind.
        """
        exchange = _Exchange(self, outgoing, deadline)
        try:
            return exchange.run()
        except RPCError:
            raise
        except BaseException:
            withdraw(outgoing, exchange.slot.entry_id)
            raise
        finally:
            exchange.release()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def enqueue(self, outgoing: Outgoing, reply_to: str) -> tuple[str | bytes | int, ...]:
        return enqueue_command(self.keys, self.most, [(outgoing, reply_to)], refusal_list=reply_to)

    def reply_list(self, outgoing: Outgoing) -> str:
        """Of this attempt alone: a late reply to an earlier one under the same key must not be taken for its own."""
        return self.keys.reply(str(uuid.uuid4()) if outgoing.key else outgoing.correlation_id)

    def take(self, deadline: float) -> Link:
        """An idle link that is still good, or a new one; raises one of FAILURES."""
        while self._idle:
            link = self._pop()
            if link is not None and link.is_clean():
                link.deadline = deadline
                return link
            if link is not None:
                link.close()
        return Link(self.connections, deadline)

    def give_back(self, link: Link) -> None:
        if self._abandoned:
            try:
                self._drop_late(link)
            except FAILURES as error:  # what has come expires; the next call opens another link
                extra = about(client=self._client_name)
                logger.info("late replies could not be looked for: %s", shown(error), extra=extra)
                link.close()
                return
        if len(self._idle) < MOST_IDLE:
            self._idle.append(link)
        else:
            link.close()

    def abandon(self, reply_list: str, missing: int = 1) -> None:
        """Its caller waits no longer; later calls look there for the replies that are missing."""
        self._abandoned.add(reply_list, time.monotonic(), missing)

    def _drop_late(self, link: Link) -> None:
        """Whoever has just used the link waits: not for long, should Redis fall silent."""
        link.deadline = time.monotonic()
        lists = self._abandoned.due(link.deadline)
        if lists:
            link.send(*(("EXISTS", name) for name in lists))
        there = [name for name in lists if link.read()]
        for name in there:
            _, late = link.run(*pop_command(name, 0.001)) or (name, ())
            self._abandoned.came(name, len(late))
            unknown_replies.inc(len(late))

    def _pop(self) -> Link | None:
        try:
            return self._idle.pop()
        except IndexError:  # another thread was quicker
            return None


class _Exchange:
    """One call on one link, and on further ones when that breaks."""

    def __init__(self, path: FusedPath, outgoing: Outgoing, deadline: float) -> None:
        self._path = path
        (self.slot,) = lone_slots([outgoing])
        self._deadline = deadline
        self._reply_to = path.reply_list(outgoing)
        self._link: Link | None = None
        self._reply_may_come = False
        self._pauses = 0

    def run(self) -> Reply | str | None:
        try:
            self._link = self._path.take(self._deadline)
        except FAILURES as error:
            raise unreachable(error) from error
        send = True
        while True:
            try:
                return self._attempt(self._link, send=send)
            except FAILURES as error:
                if is_refusal(error) and self.slot.entry_id is None:
                    raise refused(error) from error
                settled = self._settle(error)
            if not isinstance(settled, AfterLoss):
                return settled
            send = settled is AfterLoss.RESEND

    def release(self) -> None:
        if self._link is not None:
            self._path.give_back(self._link)
        if self._reply_may_come:
            self._path.abandon(self._reply_to)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _attempt(self, link: Link, *, send: bool) -> Reply | str | None:
        """Raises one of FAILURES, after which the link is not used again."""
        waiting = self._wait_command()
        try:
            if send:
                self._reply_may_come, self.slot.run_id = True, link.run_id
                link.send(self._path.enqueue(self.slot.outgoing, self._reply_to), waiting)
                link.doze(LONGER_THAN_AN_ID, DOZE_SECONDS)
                self.slot.entry_id = self._confirmed(link)
            else:
                link.send(waiting)
            while (popped := link.read()) is None:
                if time.monotonic() >= self._deadline:
                    return self.slot.entry_id
                link.send(self._wait_command())
        except BaseException:
            self._drop()
            raise
        self._reply_may_come = False
        return read_response(popped[1])[1]

    def _confirmed(self, link: Link) -> str:
        try:
            answers = link.read()
        except FAILURES as error:
            if not is_missing_script(error):
                raise
            command = self._path.enqueue(self.slot.outgoing, self._reply_to)
            helper = self._path.take(self._deadline)
            try:
                answers = helper.run("EVAL", scripts.ENQUEUE, *command[2:])
            finally:
                helper.close()
        if answers[0].startswith(b"!"):
            link.read()  # the refusal has ended the wait, too
            self._reply_may_come = False
        return read_answer(answers[0], self.slot.outgoing.method)

    def _wait_command(self) -> Command:
        seconds = min(SLICE_SECONDS, max(0.001, self._deadline - time.monotonic()))
        return ("BLPOP", self._reply_to, f"{seconds:.3f}")

    def _settle(self, cause: BaseException) -> Reply | str | AfterLoss | None:
        """What became of the request when its link broke: RESEND, WAIT, its reply, or None at the deadline."""
        if is_denied(cause):
            raise reply_denied(self.slot.outgoing.method, cause)
        if is_refusal(cause):  # of the wait alone: it has been enqueued
            self._pause()
        while time.monotonic() < self._deadline:
            try:
                self._link = Link(self._path.connections, self._deadline)
                (found,) = self._link.run(*look_command(self._path.keys, [(self.slot.outgoing, self.slot.entry_id)]))
            except FAILURES:
                self._drop()
                self._pause()
                continue
            outcome = outcome_after_loss(self.slot, found, self._link.run_id, cause)
            if isinstance(outcome, RPCError):
                raise outcome from cause
            return outcome
        return self.slot.entry_id

    def _pause(self) -> None:
        self._pauses += 1
        time.sleep(min(backoff_seconds(self._pauses), max(0.0, self._deadline - time.monotonic())))
