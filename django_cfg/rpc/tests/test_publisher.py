from __future__ import annotations

import asyncio
import threading

import pytest

from django_cfg.errors import PublishError
from django_cfg.rpc import publisher as module
from django_cfg.rpc.publisher import Publisher, installed_publisher, use_publisher


class Recorder(Publisher):
    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[tuple[str, bytes, threading.Thread]] = []

    async def deliver(self, channel: str, data: bytes) -> None:
        if channel == "refused":
            raise PublishError("no")
        if channel == "slow":
            await asyncio.Event().wait()
        self.delivered.append((channel, data, threading.current_thread()))


async def test_every_way_ends_on_the_publishers_own_loop() -> None:
    recorder, here = Recorder(), threading.current_thread()
    await recorder.publish("own loop", b"1")
    await asyncio.to_thread(recorder.publish_sync, "thread", b"2")
    await asyncio.to_thread(lambda: asyncio.run(recorder.publish("other loop", b"3")))
    assert recorder.delivered == [("own loop", b"1", here), ("thread", b"2", here), ("other loop", b"3", here)]


async def test_a_refusal_reaches_whoever_published() -> None:
    recorder = Recorder()
    with pytest.raises(PublishError, match="no"):
        await recorder.publish("refused", b"")
    with pytest.raises(PublishError, match="no"):
        await asyncio.to_thread(recorder.publish_sync, "refused", b"")
    with pytest.raises(PublishError, match="no"):
        await asyncio.to_thread(lambda: asyncio.run(recorder.publish("refused", b"")))


async def test_waiting_for_a_stuck_publisher_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(PublishError, match=r"within 0\.01 s"):
        await asyncio.to_thread(Recorder().publish_sync, "slow", b"")


def test_a_publisher_whose_loop_has_ended_says_so() -> None:
    async def make() -> Recorder:
        return Recorder()

    with pytest.raises(PublishError, match="closed"):
        asyncio.run(make()).publish_sync("c", b"")


def test_whoever_waits_in_another_loop_learns_that_the_publishers_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_cfg.rpc.other_loop.LOOK_AGAIN_SECONDS", 0.05)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make() -> Recorder:
        return Recorder()

    recorder = asyncio.run_coroutine_threadsafe(make(), loop).result(10)

    async def publish() -> None:
        waiting = asyncio.ensure_future(recorder.publish("slow", b""))
        await asyncio.sleep(0.05)
        loop.call_soon_threadsafe(loop.stop)
        async with asyncio.timeout(10):
            await waiting

    with pytest.raises(PublishError, match="closed"):
        asyncio.run(publish())
    thread.join(10)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_the_innermost_publisher_counts() -> None:
    assert installed_publisher() is None
    outer, inner = Recorder(), Recorder()
    with use_publisher(outer):
        with use_publisher(inner):
            assert installed_publisher() is inner
        assert installed_publisher() is outer
    assert installed_publisher() is None
