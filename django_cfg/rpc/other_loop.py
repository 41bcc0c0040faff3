"""Waiting in one event loop for work of another, which may end without having done it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["LOOK_AGAIN_SECONDS", "result_from"]

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 1.0


async def result_from(future: Future[T], check_runs: Callable[[], None]) -> T:
    """What the work returns or raises; `check_runs` is asked now and then, and raises once the other loop has ended."""
    waiter = asyncio.wrap_future(future)
    try:
        while not (await asyncio.wait((waiter,), timeout=LOOK_AGAIN_SECONDS))[0]:
            check_runs()
    except BaseException:
        waiter.cancel()
        raise
    return waiter.result()
