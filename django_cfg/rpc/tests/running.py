"""A runner with everything it needs, and a place where its replies arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pydantic_core import from_json

from django_cfg.rpc.call import Call, Reply
from django_cfg.rpc.claims import ClaimStore
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner, Limits

BOUND_SECONDS = 10.0


class Replies:
    """`encode` and `send` of a runner; `next()` waits for the next reply."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent: list[bytes] = []

    def encode(self, reply: Reply) -> bytes:
        if reply.error is not None:
            return b'{"error":' + reply.error.model_dump_json().encode() + b"}"
        return b'{"result":' + (reply.result or b"null") + b"}"

    async def send(self, message: bytes) -> None:
        self.sent.append(message)
        self._queue.put_nowait(message)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(BOUND_SECONDS):
            decoded: dict[str, Any] = from_json(await self._queue.get())
        return decoded


def make_call(method: str, params: bytes = b"{}", **changes: Any) -> Call:
    values: dict[str, Any] = {"timeout_seconds": BOUND_SECONDS, "user_id": "42", "correlation_id": "c1", **changes}
    return Call(method=method, params=params, **values)


def make_runner(
    router: MessageRouter, *, lanes: Lanes | None = None, claims: ClaimStore | None = None, limits: Limits | None = None
) -> CallRunner:
    return CallRunner(
        router, lanes=lanes or Lanes(), claims=MemoryClaims() if claims is None else claims, limits=limits
    )


@contextmanager
def some_lanes(count: int) -> Generator[Lanes]:
    lanes = Lanes(count)
    try:
        yield lanes
    finally:
        lanes.close()


async def until(condition: Any) -> None:
    """Wait for `condition()`, within a bound."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - threads change some of the conditions
            await asyncio.sleep(0.005)
