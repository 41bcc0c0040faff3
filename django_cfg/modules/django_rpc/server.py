"""The consuming side: stream -> runner -> reply lists. One event loop of one process; any number may share a group."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import (
    BLOCKING_SECONDS,
    FAILURES,
    OUR_PREFIX,
    SLICE_SECONDS,
    AsyncRedis,
    consumer_name,
    pairs,
)
from django_cfg.modules.django_rpc.entries import Entries, Fields
from django_cfg.modules.django_rpc.liveness import Liveness
from django_cfg.modules.django_rpc.no_claims import NoClaims
from django_cfg.modules.django_rpc.pause import backoff_seconds
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.recovery import Consumer, dead_consumers, read_consumers
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner, Limits

__all__ = ["ServerOptions", "StreamServer"]

logger = logging.getLogger("django_cfg.rpc.redis")

MOST_AT_ONCE = 128
HEARTBEAT_SECONDS = 1.0
LEAVE_SECONDS = 5.0


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
        self._reader = AsyncRedis(config, 1, BLOCKING_SECONDS)
        self._writer = AsyncRedis(config, min(4, config.redis_max_connections))
        self._lanes = Lanes(self._options.database_lanes)
        bound = self._options.concurrency
        self._runner = CallRunner(router, lanes=self._lanes, claims=NoClaims(), limits=Limits(bound, bound))
        self._liveness = Liveness(self._writer, self._keys, self.consumer, lambda owned: self._entries.keep_only(owned))
        self._entries = Entries(
            self._writer,
            self._keys,
            router=router,
            runner=self._runner,
            liveness=self._liveness,
            reply_ttl=config.response_key_ttl,
        )

    @property
    def counts(self) -> Counter[str]:
        """How many entries were started, expired, malformed, refused, repeated, recovered, lost or buried."""
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

    async def ready(self) -> None:
        """Returns when the group exists and this server counts as alive."""
        await self._ready.wait()

    async def run(self) -> bool:
        """Whether everything that was read has been answered."""
        background = {asyncio.create_task(self._heartbeat()), asyncio.create_task(self._wake_reader())}
        try:
            await self._read()
            self._liveness.drain()
            return await self._drain()
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await self._close()

    async def _read(self) -> None:
        """Survives whatever happens to Redis: a lost link, a restart, a FLUSHALL."""
        joined, unsure, attempt = False, False, 0
        while not self._stop.is_set():
            try:
                if not joined:
                    await self._liveness.join()
                    self._reader_id = int(await self._reader.run("CLIENT", "ID"))
                    joined = True
                    self._ready.set()
                if unsure:
                    await self._entries.take(await self._fetch("0"))
                    unsure = False
                await self._read_once()
                attempt = 0
            except FAILURES as error:
                if "NOGROUP" in str(error):
                    logger.warning("the group %s has gone; it is created again", self._keys.group)
                else:
                    attempt += 1
                    logger.warning("Redis failed: %r", error)
                    await self._pause(backoff_seconds(attempt))
                # An answer may have been lost on its way: entries that are ours and that we have not seen.
                joined, unsure = False, True

    async def _read_once(self) -> None:
        if not self._free():
            await self._room()
            return
        await self._entries.take(await self._fetch(">"))

    async def _fetch(self, after: str) -> list[tuple[str, Fields]]:
        """Never more than can start now; `after` "0" means those of ours that have not ended, which may be open."""
        count = min(self._free(), MOST_AT_ONCE) if after == ">" else self._options.concurrency * 2
        command: list[str | int] = ["XREADGROUP", "GROUP", self._keys.group, self.consumer, "COUNT", count]
        if after == ">":
            command += ["BLOCK", int(SLICE_SECONDS * 1000)]
        answer: Any = await self._reader.run(*command, "STREAMS", self._keys.stream, after)
        return _rows(answer[0][1]) if answer else []

    def _free(self) -> int:
        return max(0, self._options.concurrency - max(len(self._entries), self._runner.in_flight))

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
            logger.info("the reader could not be woken and wakes by itself: %r", error)

    async def _heartbeat(self) -> None:
        await self._ready.wait()
        while True:
            try:
                await self._liveness.renew()
                if not self._stop.is_set():
                    await self._recover()
            except FAILURES as error:
                if "NOGROUP" not in str(error):  # the reader creates it again
                    logger.warning("Redis failed at a heartbeat: %r", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _recover(self) -> None:
        rows: Any = await self._writer.run("XINFO", "CONSUMERS", self._keys.stream, self._keys.group)
        scores: Any = await self._writer.run("ZRANGE", self._keys.servers, 0, -1, "WITHSCORES")
        alive = {name.decode(): float(score) for name, score in pairs(scores)}
        now_ms = self._liveness.clock.now(asyncio.get_running_loop().time()) * 1000
        consumers = read_consumers((dict(pairs(row)) for row in rows), OUR_PREFIX)
        for consumer in dead_consumers(consumers, alive, now_ms, self.consumer):
            if free := self._free():
                await self._take_over(consumer, min(free, MOST_AT_ONCE))

    async def _take_over(self, consumer: Consumer, count: int) -> None:
        keys = self._keys
        claimed: Any = await self._writer.run(
            "EVAL", scripts.CLAIM, 2, keys.stream, keys.servers, keys.group, self.consumer, consumer.name, count,
            int(consumer.ours),
        )  # fmt: skip
        if claimed:
            logger.warning("%d entries of %s, which has died, are taken over", len(claimed), consumer.name)
        for entry_id, deliveries, fields in claimed:
            if fields is not None:
                self._entries.take_over(entry_id.decode(), dict(pairs(fields)), int(deliveries))

    async def _drain(self) -> bool:
        answered = await self._entries.drain(self._options.drain_seconds)
        if not answered:
            logger.error("%d entries could not be answered before the end", len(self._entries))
        return answered

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._liveness.leave()
        except FAILURES as error:
            logger.warning("Redis could not be told that this server ends: %r", error)
        self._entries.close()
        self._lanes.close()
        await self._reader.close()
        await self._writer.close()


def _rows(answer: Sequence[Any]) -> list[tuple[str, Fields]]:
    """Entries that were deleted while they were pending have no fields."""
    return [(row[0].decode(), dict(pairs(row[1]))) for row in answer if row[1] is not None]
