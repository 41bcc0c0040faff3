"""The consuming side: stream -> runner -> reply lists. One event loop of one process; any number may share a group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.background import end_tasks
from django_cfg.modules.django_rpc.conf import signer_for
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    BLOCKING_SECONDS,
    FAILURES,
    SLICE_SECONDS,
    AsyncRedis,
    consumer_name,
    is_refusal,
    pairs,
)
from django_cfg.modules.django_rpc.direct import DirectRedis
from django_cfg.modules.django_rpc.entries import Entries, Fields
from django_cfg.modules.django_rpc.eviction import eviction_warning, read_policy
from django_cfg.modules.django_rpc.faults import shown
from django_cfg.modules.django_rpc.liveness import Liveness
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import OUR_PREFIX, Keys
from django_cfg.modules.django_rpc.recovery import Consumer, dead_consumers, read_consumers
from django_cfg.modules.django_rpc.server_metrics import StreamMetrics
from django_cfg.rpc import metrics
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.logs import about
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner, Limits

__all__ = ["ServerOptions", "StreamServer"]

logger = logging.getLogger("django_cfg.rpc.redis")

MOST_AT_ONCE = 16
"""While these run, Redis already looks for the next."""

HEARTBEAT_SECONDS = 1.0
"""At most; a fifth of the silence that others allow."""

OTHER_CONNECTIONS = 4
"""The reader's, that of the replies, and two of a listener to broadcasts."""

LEAVE_SECONDS = 5.0
UNREACHABLE, REFUSED = "Redis cannot be reached", "Redis refuses what this server asks; the log says what"

STUCK_SECONDS = 30.0
"""Each turn of the read loop is over in much less, also while Redis is away."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    concurrency: int = 100
    database_lanes: int = 8
    drain_seconds: float = 30.0


class StreamServer:
    """Consumes `stream` into `router` from `run` until `stop`."""

    def __init__(
        self,
        config: WebSocketRPCConfig,
        router: MessageRouter,
        *,
        stream: str,
        role: str,
        options: ServerOptions | None = None,
    ) -> None:
        self._options = options or ServerOptions()
        self._keys = Keys(stream, config.consumer_group, config.response_key_prefix)
        self.consumer = consumer_name(role)
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._reader_id = 0
        self._trouble = UNREACHABLE
        self._asked = 0
        self._reserved = 0
        self._reader = DirectRedis(config, BLOCKING_SECONDS)
        self._replies = DirectRedis(config)
        self._writer = AsyncRedis(config, max(1, min(4, config.redis_max_connections - OTHER_CONNECTIONS)))
        self._lanes = Lanes(self._options.database_lanes)
        # Reading keeps the bound; what a lost answer had named before a takeover is read again, and never refused.
        bound = self._options.concurrency + MOST_AT_ONCE
        self._runner = CallRunner(router, lanes=self._lanes, limits=Limits(bound, bound))
        self._heartbeat_seconds = min(HEARTBEAT_SECONDS, config.liveness_timeout / 5)
        self._liveness = Liveness(
            self._writer,
            self._keys,
            self.consumer,
            timeout_seconds=config.liveness_timeout,
            on_lapse=lambda owned: self._entries.keep_only(owned),
        )
        self._observed = StreamMetrics(stream, config.stream_maxlen, config.response_key_ttl)
        self._turned = time.monotonic()
        self._entries = self._make_entries(config, router)

    @property
    def counts(self) -> Counter[str]:
        """Entries by what became of them: started, expired, malformed, unauthorized, refused, repeated and so on."""
        return self._entries.counts

    @property
    def in_flight(self) -> int:
        """Entries that have been read and whose replies are not yet in Redis."""
        return len(self._entries)

    @property
    def stopped(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Read nothing more, finish what runs, then let `run` return."""
        self._stop.set()

    def why_dead(self) -> str:
        """Empty while the read loop turns, or this server drains."""
        silent = time.monotonic() - self._turned
        return "" if self.stopped or silent < STUCK_SECONDS else f"nothing has been read for {silent:.0f} s"

    def why_unready(self) -> str:
        """Empty while callers count this server as one that answers, and it has read since the last failure."""
        if self.stopped:
            return "draining"
        return self._trouble or ("" if self._liveness.held else UNREACHABLE)

    async def ready(self) -> None:
        """Returns when this server counts as alive, and has read from the stream."""
        await self._ready.wait()

    async def run(self) -> bool:
        """Whether everything that was read has been answered."""
        background = {asyncio.create_task(self._heartbeat()), asyncio.create_task(self._wake_reader())}
        try:
            await self._read()
            self._liveness.drain()
            return await self._drain()
        finally:
            await end_tasks(background)
            await self._close()

    def _make_entries(self, config: WebSocketRPCConfig, router: MessageRouter) -> Entries:
        return Entries(
            self._replies,
            self._keys,
            router=router,
            runner=self._runner,
            liveness=self._liveness,
            signer=signer_for(config, self._keys.stream),
            observed=self._observed,
            reply_ttl=config.response_key_ttl,
        )

    async def _read(self) -> None:
        """Survives whatever happens to Redis: a lost link, a restart, a FLUSHALL."""
        joined, unsure, attempt = False, True, 0
        while not self._stop.is_set():
            self._turned = time.monotonic()
            try:
                if not joined:
                    await self._liveness.join()
                    self._reader_id = int(await self._reader.run("CLIENT", "ID"))
                    joined = True
                if unsure:
                    await self._read_own()
                unsure = not await self._read_once()
                attempt = 0
            except FAILURES as error:
                if "NOGROUP" in str(error):
                    extra = about(server=self.consumer)
                    logger.warning("the group %s has gone; it is created again", self._keys.group, extra=extra)
                else:
                    attempt += 1
                    self._trouble = REFUSED if is_refusal(error) else UNREACHABLE
                    logger.warning("Redis failed: %s", shown(error), extra=about(server=self.consumer))
                    await self._pause(backoff_seconds(attempt))
                # An answer may have been lost on its way: entries that are ours and that we have not seen.
                joined, unsure = False, True

    async def _read_own(self) -> None:
        """What this server has not ended; also the proof, which does not wait, that it may read at all."""
        await self._liveness.confirm()
        asked_at = time.monotonic()
        await self._entries.take(await self._fetch("0", self._options.concurrency * 2), asked_at)
        self._trouble = ""
        self._ready.set()

    async def _read_once(self) -> bool:
        """False when this server has been silent so long that what it has read may be others' by now."""
        if not self._readable():
            await self._room()
            return True
        asked_at = time.monotonic()
        self._asked = self._readable()
        try:
            rows = await self._fetch(">", self._asked)
        finally:
            self._asked = 0
        if rows and not self._liveness.held:
            return False
        await self._entries.take(rows, asked_at)
        if len(rows) == 1:  # whose caller waits for nothing else: let a quick reply leave before the next request
            await asyncio.sleep(0)
        return True

    async def _fetch(self, after: str, count: int) -> list[tuple[str, Fields]]:
        """Never more than can start now; `after` "0" means those of ours that have not ended, which may be open."""
        command: list[str | int] = ["XREADGROUP", "GROUP", self._keys.group, self.consumer, "COUNT", count]
        if after == ">":
            command += ["BLOCK", int(SLICE_SECONDS * 1000)]
        answer: Any = await self._reader.run(*command, "STREAMS", self._keys.stream, after)
        return _rows(answer[0][1]) if answer else []

    def _free(self) -> int:
        return max(0, self._options.concurrency - max(len(self._entries), self._runner.in_flight))

    def _readable(self) -> int:
        """Places for entries that no server has read; the rest waits for those of dead ones, which came before."""
        return max(0, min(self._free() - self._reserved, MOST_AT_ONCE))

    async def _room(self) -> None:
        stopped = asyncio.ensure_future(self._stop.wait())
        fewer = asyncio.ensure_future(self._entries.fewer())
        _, pending = await asyncio.wait(
            {stopped, fewer}, timeout=SLICE_SECONDS / 10, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _wake_reader(self) -> None:
        """At the stop the reader need not wait for the end of its slice."""
        await self._stop.wait()
        try:
            await self._writer.run("CLIENT", "UNBLOCK", self._reader_id)
        except FAILURES as error:
            extra = about(server=self.consumer)
            logger.info("the reader could not be woken and wakes by itself: %s", shown(error), extra=extra)

    async def _heartbeat(self) -> None:
        await self._ready.wait()
        await self._warn_of_eviction()
        while True:
            try:
                await self._liveness.renew()
                if not self._stop.is_set():
                    await self._recover()
                if metrics.ENABLED:
                    await self._tell_metrics()
            except FAILURES as error:
                self._reserved = 0
                if "NOGROUP" not in str(error):  # the reader creates it again
                    logger.warning("Redis failed at a heartbeat: %s", shown(error), extra=about(server=self.consumer))
            except Exception:  # the next one may do better, and without any this server would be taken for dead
                logger.exception("a heartbeat failed", extra=about(server=self.consumer))
            await asyncio.sleep(self._heartbeat_seconds)

    async def _warn_of_eviction(self) -> None:
        extra = about(server=self.consumer)
        try:
            warning = eviction_warning(read_policy(await self._writer.run("INFO", "memory")))
        except FAILURES as error:
            logger.info("Redis does not say whether it deletes keys: %s", shown(error), extra=extra)
            return
        if warning:
            logger.warning(warning, extra=extra)

    async def _tell_metrics(self) -> None:
        backlog: Any = await self._writer.run("XLEN", self._keys.stream)
        dead_letters: Any = await self._writer.run("XLEN", self._keys.dead)
        self._observed.tell(self.counts, in_flight=self.in_flight, backlog=int(backlog), dead_letters=int(dead_letters))

    async def _recover(self) -> None:
        rows: Any = await self._writer.run("XINFO", "CONSUMERS", self._keys.stream, self._keys.group)
        scores: Any = await self._writer.run("ZRANGE", self._keys.servers, 0, -1, "WITHSCORES")
        alive = {name.decode(errors="replace"): float(score) for name, score in pairs(scores)}
        now_ms = self._liveness.clock.now(asyncio.get_running_loop().time()) * 1000
        consumers = read_consumers((dict(pairs(row)) for row in rows), OUR_PREFIX)
        dead = dead_consumers(consumers, alive, now_ms, self.consumer)
        left = [await self._take_over_all(consumer) for consumer in dead]
        self._reserved = min(sum(left), MOST_AT_ONCE, self._options.concurrency)

    async def _take_over_all(self, consumer: Consumer) -> int:
        """How many entries are left to it for want of places: what the reader may be given has its own already."""
        left = consumer.pending
        while (free := self._free() - self._asked) > 0:
            count = min(free, MOST_AT_ONCE)
            claimed = await self._take_over(consumer, count)
            if claimed < count:
                return 0
            left -= claimed
        return max(0, left)

    async def _take_over(self, consumer: Consumer, count: int) -> int:
        keys = self._keys
        claimed: Any = await self._writer.run(
            "EVAL", scripts.CLAIM, 2, keys.stream, keys.servers, keys.group, self.consumer, consumer.name, count,
            int(consumer.ours),
        )  # fmt: skip
        if claimed:
            extra = about(server=self.consumer)
            logger.warning("%d entries of %s, which has died, are taken over", len(claimed), consumer.name, extra=extra)
        for entry_id, deliveries, fields in claimed:
            if fields is not None and not self._stop.is_set():  # a server that ends leaves them to the others
                self._entries.take_over(entry_id.decode(), dict(pairs(fields)), int(deliveries))
        return len(claimed)

    async def _drain(self) -> bool:
        answered = await self._entries.drain(self._options.drain_seconds)
        if not answered:
            extra = about(server=self.consumer)
            logger.error("%d entries could not be answered before the end", len(self._entries), extra=extra)
        return answered

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._liveness.leave()
        except FAILURES as error:
            extra = about(server=self.consumer)
            logger.warning("Redis could not be told that this server ends: %s", shown(error), extra=extra)
        self._entries.close()
        self._lanes.close()
        self._reader.close()
        self._replies.close()
        await self._writer.close()


def _rows(answer: Sequence[Any]) -> list[tuple[str, Fields]]:
    """Entries that were deleted while they were pending have no fields."""
    return [(row[0].decode(), dict(pairs(row[1]))) for row in answer if row[1] is not None]
