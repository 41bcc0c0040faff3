from __future__ import annotations

import asyncio

from django_cfg.modules.django_rpc.background import end_tasks


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    lost = 0

    async def careless() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await end_tasks([task])

    assert task.cancelled()


async def test_nothing_to_end() -> None:
    await end_tasks([])
