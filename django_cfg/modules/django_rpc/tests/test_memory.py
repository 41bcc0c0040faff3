"""The in-process server ends, whatever its handlers do."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_cfg.errors import RPCRemoteError
from django_cfg.modules.django_rpc import memory
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.routers import router as router

BOUND_SECONDS = 15.0


def test_a_handler_that_overhears_its_end_holds_up_nobody_who_closes(
    router: MessageRouter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "CLOSE_SECONDS", 0.3)
    started, released = threading.Event(), threading.Event()

    async def stubborn(conn: Any, params: Any) -> None:
        started.set()
        while not released.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    router.register_handler("stubborn", stubborn)
    others = set(threading.enumerate())
    client = WebSocketRPCClient(WebSocketRPCConfig(enabled=True, redis_url="memory://"))
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(client.call, "stubborn", timeout=10)
        assert started.wait(BOUND_SECONDS)
        (serving,) = (thread for thread in set(threading.enumerate()) - others if thread.name == "rpc-memory")
        client.close()
        assert "overhears its end" in caplog.text
        released.set()

        with pytest.raises(RPCRemoteError, match="went down while stubborn ran"):
            calling.result(BOUND_SECONDS)
    serving.join(BOUND_SECONDS)
    assert not serving.is_alive()
    assert client.call("echo", {"n": 1}) == {"n": 1}
    client.close()
