from __future__ import annotations

import asyncio

import pytest

from django_cfg.apps.integrations.grpc.services.streaming.loops import OwningLoop
from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue
from django_cfg.errors import ClientNotConnectedError


def queue_of(size: int) -> OutboundQueue[int]:
    home = OwningLoop()
    home.adopt(is_free=True)
    return OutboundQueue(size, home)


async def turn() -> None:
    """Let all others go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_in_first_out_within_its_bound() -> None:
    queue = queue_of(2)
    queue.put_nowait(1)
    await queue.put(2)

    assert (queue.full(), queue.qsize(), queue.maxsize, queue.empty()) == (True, 2, 2, False)
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(3)
    assert [queue.take(), queue.take(), queue.take()] == [1, 2, None]
    assert queue.empty()


async def test_nothing_is_no_command() -> None:
    queue = queue_of(1)
    with pytest.raises(TypeError, match="disconnect_client"):
        queue.put_nowait(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="disconnect_client"):
        await queue.put(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert queue.empty()


async def test_what_is_urgent_comes_first_and_fits_always() -> None:
    queue = queue_of(1)
    queue.put_nowait(1)
    queue.put_urgent(9)

    assert queue.has_urgent
    assert [queue.take(), queue.take()] == [9, 1]
    assert not queue.has_urgent


async def test_those_who_wait_for_room_get_it_in_order() -> None:
    queue = queue_of(1)
    queue.put_nowait(0)
    waiting = [asyncio.create_task(queue.put(number)) for number in (1, 2, 3)]
    taken: list[int | None] = []
    for _ in range(4):
        await turn()
        taken.append(queue.take())
    await asyncio.gather(*waiting)

    assert taken == [0, 1, 2, 3]


async def test_who_gives_up_passes_the_room_on() -> None:
    queue = queue_of(1)
    queue.put_nowait(0)
    impatient, patient = (asyncio.create_task(queue.put(number)) for number in (1, 2))
    await turn()
    queue.take()
    impatient.cancel()
    await turn()

    assert patient.done()
    assert queue.take() == 2


async def test_the_taker_is_woken_by_an_item_and_by_the_end() -> None:
    queue = queue_of(1)
    waiting = asyncio.create_task(queue.wait())
    await turn()
    assert not waiting.done()
    queue.put_nowait(1)
    assert await waiting is True
    queue.take()
    waiting = asyncio.create_task(queue.wait())
    await turn()
    queue.finish()
    assert await waiting is False


async def test_a_finished_queue_gives_what_it_has_and_takes_nothing() -> None:
    queue = queue_of(5)
    queue.put_nowait(1)
    queue.finish()

    assert await queue.wait() is True
    assert queue.take() == 1
    with pytest.raises(ClientNotConnectedError):
        queue.put_nowait(2)
    queue.put_urgent(3)
    assert queue.take() is None


async def test_the_end_returns_what_was_not_taken_and_frees_those_who_wait() -> None:
    queue = queue_of(1)
    queue.put_nowait(1)
    queue.put_urgent(9)
    waiting = asyncio.create_task(queue.put(2))
    await turn()

    assert queue.end() == [1]
    with pytest.raises(ClientNotConnectedError):
        await waiting
    assert queue.take() is None
