"""The open entries of one server: begun, waited for or refused, and handed to the outbox when they end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from django_cfg.errors import (
    MalformedMessageError,
    OutcomeUnknownError,
    RPCError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from django_cfg.modules.django_rpc import endings, protocol
from django_cfg.modules.django_rpc.connecting import FAILURES
from django_cfg.modules.django_rpc.direct import DirectRedis
from django_cfg.modules.django_rpc.endings import Command, Ending
from django_cfg.modules.django_rpc.faults import shown
from django_cfg.modules.django_rpc.intake import Malformed, Request, has_expired, make_call, needs_record, read_entry
from django_cfg.modules.django_rpc.liveness import Liveness
from django_cfg.modules.django_rpc.outbox import Outbox
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.recent import Recent
from django_cfg.modules.django_rpc.recovery import Fate, Repeat, fate_of, judge_record
from django_cfg.modules.django_rpc.redis_clock import added_seconds
from django_cfg.modules.django_rpc.server_metrics import StreamMetrics
from django_cfg.modules.django_rpc.signing import Signer
from django_cfg.rpc import metrics
from django_cfg.rpc.call import Reply
from django_cfg.rpc.logs import about, printable
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner

__all__ = ["Entries"]

logger = logging.getLogger("django_cfg.rpc.redis")

Fields = Mapping[bytes, bytes]
FIRST_LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 0.5
REMEMBERED = 10_000
"""Ids of entries that have ended, at least: some seconds of them, which is how far a replica may lag behind."""


class Entries:
    """Each entry is open from `take` or `take_over` until its ending is in Redis. `counts` says what became of them."""

    def __init__(
        self,
        client: DirectRedis,
        keys: Keys,
        *,
        router: MessageRouter,
        runner: CallRunner,
        liveness: Liveness,
        signer: Signer,
        observed: StreamMetrics,
        reply_ttl: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._client = client
        self._keys = keys
        self._router = router
        self._runner = runner
        self._server = liveness.consumer
        self._clock = liveness.clock
        self._signer = signer
        self._observed = observed
        self._allowed = protocol.reply_pattern(keys.reply_prefix)
        self._open: dict[str, Fields] = {}
        self._ended = Recent(REMEMBERED)
        self._lost: set[str] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._fewer = asyncio.Event()
        self._now_at, self._now_until = datetime.now(UTC), 0.0
        self._outbox = Outbox(
            client,
            keys,
            liveness=liveness,
            observed=observed,
            reply_ttl=reply_ttl,
            is_lone=lambda: len(self._open) == 1,
            still_owned=lambda entry_id: entry_id not in self._lost,
            on_done=self._close,
        )

    def __len__(self) -> int:
        return len(self._open)

    async def fewer(self) -> None:
        """Returns when an entry has ended."""
        self._fewer.clear()
        await self._fewer.wait()

    async def take(self, rows: Sequence[tuple[str, Fields]], asked_at: float) -> None:
        """Entries that Redis named as this server's own when it was asked at that moment (monotonic seconds).

        Entries that are open, or have ended since, are left alone. Raises RedisError, and then may be repeated.
        """
        unsure: list[Request] = []
        for entry_id, fields in rows:
            if entry_id in self._open:
                continue
            if (ended_at := self._ended.get(entry_id)) is not None:
                if ended_at < asked_at:  # a failover to a replica that had not heard of its end has brought it back
                    self.take_over(entry_id, fields, 1)
                continue
            request = self._admit(entry_id, fields, 1)
            if request is None:
                continue
            if request.fresh:
                self._start(request)
            else:
                unsure.append(request)
        if unsure:
            await self._start_unless_repeated(unsure)

    def take_over(self, entry_id: str, fields: Fields, deliveries: int) -> None:
        """An entry whose server has died."""
        request = self._admit(entry_id, fields, deliveries + 1)
        if request is None:
            return
        method = self._router.get(request.method)
        fate = fate_of(request, idempotent=method is not None and method.idempotent)
        self.counts[f"recovered_{fate.value}"] += 1
        if fate is Fate.RUN and request.fresh:
            self._start(request)
        elif fate is Fate.RUN:
            self._wait_for_first(request, seen=False)  # which may still run elsewhere
        elif fate is Fate.UNKNOWN:
            lost = OutcomeUnknownError(f"the server that ran {request.method} has died; it may have run")
            self._end(request, Reply.of_error(lost))
        else:
            self._bury(request, f"{deliveries} servers died while they ran it")

    def keep_only(self, owned: set[str]) -> None:
        """After a lapse: what others have taken over is theirs to answer."""
        lost = self._open.keys() - owned
        self._lost |= lost
        self.counts["lost"] += len(lost)
        if lost:
            logger.warning(
                "%d entries were taken over by other servers while this one was silent",
                len(lost),
                extra=about(server=self._server),
            )

    async def drain(self, timeout_seconds: float) -> bool:
        """End what is open, in time or not; whether every reply has reached Redis."""
        for task in self._waiting:
            task.cancel()
        await self._runner.drain(timeout_seconds)
        if self._waiting:
            await asyncio.wait(self._waiting)
        return await self._outbox.flush(timeout_seconds)

    def close(self) -> None:
        self._outbox.close()

    def _admit(self, entry_id: str, fields: Fields, deliveries: int) -> Request | None:
        """Opens the entry; None when it has ended at once."""
        self._open[entry_id] = fields
        request = read_entry(entry_id, fields, self._allowed, deliveries=deliveries)
        if isinstance(request, Malformed):
            self._refuse_malformed(request)
            return None
        if not self._is_authentic(request, fields):
            return None
        if has_expired(request, self._redis_now()):
            self.counts["expired"] += 1
            self._outbox.add(endings.dropped(request, self._keys))
            return None
        return request

    def _is_authentic(self, request: Request, fields: Fields) -> bool:
        """Refuses it otherwise; the record under its id stays, for it may be another caller's."""
        try:
            self._signer.check(request.correlation_id, request.method, fields, 1000 * added_seconds(request.entry_id))
        except UnauthorizedError as error:
            self.counts["unauthorized"] += 1
            extra = about(method=request.method, correlation_id=request.correlation_id, server=self._server)
            logger.warning("a request was refused: %s", error, extra=extra)
            self._refuse(request, error, forget=False, bury=True)
            return False
        return True

    def _start(self, request: Request) -> None:
        self.counts["started"] += 1
        if metrics.ENABLED:
            self._observed.started(self._redis_now() - added_seconds(request.entry_id))
        try:
            self._runner.begin(make_call(request, self._redis_now()), partial(self._finish, request))
        except RPCError as error:
            if request.reply_to is None:
                self._bury(request, error.message)  # nobody else would send it again
            else:
                self._refuse(request, error, forget=True)

    def _finish(self, request: Request, reply: Reply) -> None:
        if request.reply_to is None and reply.error is not None:
            self._bury(request, reply.error.message)
        else:
            self._end(request, reply)

    async def _start_unless_repeated(self, requests: Sequence[Request]) -> None:
        try:
            records = await self._take_records(requests)
        except FAILURES:
            for request in requests:
                del self._open[request.entry_id]  # they have not begun, and will be read again
            raise
        for request, record in zip(requests, records, strict=True):
            if not self._decide(request, record, seen=False):
                self._wait_for_first(request, seen=True)

    async def _take_records(self, requests: Sequence[Request]) -> list[bytes | None]:
        """What stood there; None where the record was free, and is the entry's now."""
        commands: list[Command] = []
        for request in requests:
            seconds = int(request.timeout_seconds or protocol.KEPT_SECONDS) + int(request.keep_seconds)
            key = self._keys.call(request.correlation_id)
            record = protocol.taken_record(request.mark, request.entry_id)
            commands.append(("SET", key, record, "NX", "GET", "EX", seconds))
        answers = await self._client.batch(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _decide(self, request: Request, record: bytes | None, *, seen: bool) -> bool:
        """Run it or end it; False while the first request with its id still runs, and its caller waits.

        `seen`: the first one's record was there before; if it is not any more, the first leaves the id to others.
        """
        if record is None and not seen and needs_record(request, self._redis_now()):
            self.counts["unauthorized"] += 1
            error = UnauthorizedError("the signed request was played back, or has waited too long without a record")
            self._finish(request, Reply.of_error(error))
        elif record is None or record in protocol.taken_records(request.marks, request.entry_id):
            self._start(request)
        elif (repeat := judge_record(record, *request.marks)) is not Repeat.WAIT:
            self._answer_repeat(request, record, repeat)
        elif request.reply_to is None and not request.key:
            self.counts["repeated"] += 1
            self._outbox.add(Ending(request.entry_id))
        else:
            return False
        return True

    def _answer_repeat(self, request: Request, record: bytes, repeat: Repeat) -> None:
        self.counts["repeated"] += 1
        if repeat is Repeat.ANSWER:
            self._end(request, protocol.read_reply(record[1 + protocol.MARK_BYTES :]))
        elif repeat is Repeat.CONFLICT:
            name = "idempotency key" if request.key else "correlation id"
            error = MalformedMessageError(f"this {name} belongs to another call")
            self._refuse(request, error, forget=False, bury=True)
        else:
            lost = OutcomeUnknownError(f"{request.method} has run; its reply was too large to keep")
            self._refuse(request, lost, forget=False)

    def _wait_for_first(self, request: Request, *, seen: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._watch_first(request, seen=seen))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _watch_first(self, request: Request, *, seen: bool) -> None:
        pause = FIRST_LOOK_SECONDS
        try:
            while not has_expired(request, self._redis_now()):
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_LOOK_SECONDS)
                try:
                    (record,) = await self._take_records([request])
                except FAILURES as error:
                    extra = about(method=request.method, correlation_id=request.correlation_id, server=self._server)
                    logger.warning("a repeated request waits for Redis: %s", shown(error), extra=extra)
                    continue
                if self._decide(request, record, seen=seen):
                    return
                seen = True
            self._outbox.add(Ending(request.entry_id))
        except asyncio.CancelledError:
            self._refuse(request, ServiceUnavailableError("the server is shutting down"), forget=False)

    def _end(self, request: Request, reply: Reply) -> None:
        self._outbox.add(endings.ended(request, reply, self._keys, self._now()))

    def _refuse(self, request: Request, error: RPCError, *, forget: bool, bury: bool = False) -> None:
        """`bury`: it goes to the dead letters where nobody waits who could be told."""
        self.counts["refused"] += 1
        reply, letter = Reply.of_error(error), None
        if bury and request.reply_to is None:
            letter = self._letter(request, error.message, request.deliveries)
        ending = endings.refused(request, reply, self._keys, self._now(), forget=forget, letter=letter)
        self._outbox.add(ending)

    def _bury(self, request: Request, reason: str) -> None:
        """To the dead letters; a caller that waits is told."""
        self.counts["dead"] += 1
        error = OutcomeUnknownError(f"{request.method} was given up: {reason}")
        letter = self._letter(request, reason, request.deliveries)
        self._outbox.add(endings.ended(request, Reply.of_error(error), self._keys, self._now(), letter))

    def _refuse_malformed(self, entry: Malformed) -> None:
        self.counts["malformed"] += 1
        reply = Reply.of_error(MalformedMessageError(entry.reason))
        letter = self._letter(entry, entry.reason, 1)
        self._outbox.add(endings.malformed(entry, reply, self._now(), letter))

    def _letter(self, entry: Request | Malformed, reason: str, deliveries: int) -> Command:
        """None is written without a line in the log."""
        method = entry.method if isinstance(entry, Request) else ""
        extra = about(method=method, correlation_id=entry.correlation_id or "", server=self._server)
        what = method or f"the entry {entry.entry_id}"
        logger.warning("%s is given up, and a dead letter now: %s", what, printable(reason), extra=extra)
        fields, at_ms = self._open[entry.entry_id], int(self._redis_now() * 1000)
        return endings.dead_letter(entry.entry_id, fields, reason, deliveries, self._keys, at_ms)

    def _now(self) -> datetime:
        """The same for what ends within a millisecond: replies show it, and it is written once."""
        monotonic = time.monotonic()
        if monotonic >= self._now_until:
            self._now_at, self._now_until = datetime.now(UTC), monotonic + 0.001
        return self._now_at

    def _redis_now(self) -> float:
        return self._clock.now(time.monotonic())

    def _close(self, entry_ids: Iterable[str]) -> None:
        now = time.monotonic()
        for entry_id in entry_ids:
            self._open.pop(entry_id, None)
            self._lost.discard(entry_id)
            self._ended.add(entry_id, now)
        self._fewer.set()
