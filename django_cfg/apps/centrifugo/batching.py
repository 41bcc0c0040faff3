"""Publish through Centrifugo's server API in natural batches: one request is in flight, the next takes what came."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.server_api import (
    api_headers,
    batch_body,
    channels_body,
    presence_body,
    publish_body,
    read_batch_answer,
    read_channels,
    read_presence,
)
from django_cfg.errors import PublishError
from django_cfg.rpc.publisher import Publisher

__all__ = ["BatchingPublisher"]

logger = logging.getLogger("django_cfg.centrifugo")

MOST_QUEUED = 100_000
MOST_QUEUED_BYTES = 256 * 1024 * 1024
BATCH_COUNT = 256
BATCH_BYTES = 4 * 1024 * 1024
FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 2.0
GIVE_UP_SECONDS = 20.0
LAST_SECONDS = 8.0
"""For what is queued when the publisher is closed."""

FIRST_SERVER_FAULT = 500


@dataclass(frozen=True, slots=True)
class _Publication:
    body: bytes
    done: asyncio.Future[None]
    since: float


class BatchingPublisher(Publisher):
    """Keeps the order of publications. What cannot be sent is tried again until it is 20 s old; then it fails.

    Each has a key under which Centrifugo publishes it once, though it be sent twice because an answer was lost.
    """

    def __init__(self, config: CentrifugoConfig) -> None:
        super().__init__()
        self._api_url = config.api_url
        self._url = f"{config.api_url}/batch"
        self._session = aiohttp.ClientSession(
            headers=api_headers(config.api_key), timeout=aiohttp.ClientTimeout(total=config.api_timeout_seconds)
        )
        self._queue: deque[_Publication] = deque()
        self._queued_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._closing_at = math.inf
        self._prefix, self._numbers = uuid.uuid4().hex, itertools.count()

    async def deliver(self, channel: str, data: bytes) -> None:
        await self._add(publish_body(channel, data, f"{self._prefix}-{next(self._numbers)}"))

    async def reply(self, channel: str, data: bytes) -> None:
        """To a call, which takes the first that comes: without a key, which Centrifugo would have to remember."""
        await self._add(publish_body(channel, data))

    async def _add(self, body: bytes) -> None:
        if len(self._queue) >= MOST_QUEUED or self._queued_bytes >= MOST_QUEUED_BYTES:
            raise PublishError("too many publications are waiting for Centrifugo")
        publication = _Publication(body, self._loop.create_future(), self._loop.time())
        self._queue.append(publication)
        self._queued_bytes += len(body)
        if self._sender is None or self._sender.done():
            self._sender = self._loop.create_task(self._send_all())
        await publication.done

    async def presence(self, channel: str) -> int:
        return read_presence(*await self._ask("presence_stats", presence_body(channel)))

    async def channels(self, pattern: str) -> Sequence[str]:
        return read_channels(*await self._ask("channels", channels_body(pattern)))

    async def close(self) -> None:
        """Send what is queued, as far as that is possible within some seconds, then close the connection."""
        self._closing_at = self._loop.time() + LAST_SECONDS
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=LAST_SECONDS)
        await self._session.close()  # a request that still waits fails with it
        if self._sender is not None:
            await self._sender

    async def _send_all(self) -> None:
        while batch := self._take():
            try:
                outcomes: Sequence[PublishError | None] = await self._send(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                outcomes = [_publish_error(error)] * len(batch)
            for publication, outcome in zip(batch, outcomes, strict=True):
                _settle(publication.done, outcome)

    def _take(self) -> list[_Publication]:
        batch: list[_Publication] = []
        size = 0
        while self._queue and len(batch) < BATCH_COUNT and size < BATCH_BYTES:
            publication = self._queue.popleft()
            self._queued_bytes -= len(publication.body)
            if self._loop.time() < self._end_of(publication):
                batch.append(publication)
                size += len(publication.body)
            else:
                _settle(publication.done, PublishError("Centrifugo has not taken the publications before it in time"))
        return batch

    def _end_of(self, publication: _Publication) -> float:
        return min(publication.since + GIVE_UP_SECONDS, self._closing_at)

    async def _send(self, batch: list[_Publication]) -> Sequence[PublishError | None]:
        body = batch_body(publication.body for publication in batch)
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                status, answer = await self._post(self._url, body)
                if status < FIRST_SERVER_FAULT:
                    return read_batch_answer(status, answer, len(batch))
                problem = f"HTTP {status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = repr(error)
            if self._loop.time() + delay > self._end_of(batch[0]):
                raise PublishError(f"Centrifugo's server API at {self._url} cannot be reached: {problem}")
            logger.warning("Centrifugo's server API at %s cannot be reached (%s); trying again", self._url, problem)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    async def _ask(self, method: str, body: bytes) -> tuple[int, bytes]:
        try:
            return await self._post(f"{self._api_url}/{method}", body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PublishError(f"Centrifugo's server API at {self._api_url} cannot be reached: {error!r}") from error

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        async with self._session.post(url, data=body) as response:
            return response.status, await response.read()


def _publish_error(error: Exception) -> PublishError:
    return error if isinstance(error, PublishError) else PublishError(f"the publication failed: {error!r}")


def _settle(done: asyncio.Future[None], error: PublishError | None) -> None:
    if done.done():
        return  # whoever waited has been cancelled
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
