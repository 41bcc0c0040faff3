"""The methods that are called under faults: each notes its run before it works, and its effect after."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from django_cfg.apps.centrifugo.decorators import websocket_rpc
from tests.redis.chaos.ledger import ServerLedger


class Order(BaseModel):
    call: str
    n: int
    seconds: float = 0.0


class Receipt(BaseModel):
    """Strict, and unlike Total: a reply of the wrong type cannot pass for one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    call: str
    run: str
    receipt: int


class Total(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    call: str
    run: str
    total: str


class Clerk:
    """This process's pen: a thread of its own, for SQLite makes its writers wait for one another."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._ledger = self._thread.submit(ServerLedger, Path(os.environ["SITE_LEDGER"])).result()

    async def work(self, conn: Any, order: Order) -> str:
        """The run whose effect counts."""
        loop = asyncio.get_running_loop()
        key = conn.meta["idempotency_key"] or ""
        delivery = conn.meta["delivery_count"]
        run = await loop.run_in_executor(self._thread, self._ledger.begin, order.call, key, delivery, os.getpid())
        await asyncio.sleep(order.seconds)
        return await loop.run_in_executor(self._thread, self._ledger.take_effect, order.call, run, key)


@cache
def clerk() -> Clerk:
    return Clerk()


@websocket_rpc("order")
async def order(conn: Any, params: Order) -> Receipt:
    """One effect, and a receipt for it."""
    return Receipt(call=params.call, run=await clerk().work(conn, params), receipt=params.n)


@websocket_rpc("total")
async def total(conn: Any, params: Order) -> Total:
    """One effect, and a result of another type."""
    return Total(call=params.call, run=await clerk().work(conn, params), total=str(params.n))
