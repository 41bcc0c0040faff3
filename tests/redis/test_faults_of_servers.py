"""Handlers that hang or raise, databases that break, and memory that is full at the moment of the reply."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from django_cfg.errors import RPCErrorCode, RPCRemoteError, RPCTimeoutError
from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import Redis
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.server import ServerOptions
from django_cfg.modules.django_rpc.status import read_status
from django_cfg.rpc.router import MessageRouter
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, dialect_b, is_clean, reply_to, send, wait_until

CANARY = "canary-4711"


class Trouble:
    """Methods that misbehave; `ran` counts."""

    def __init__(self) -> None:
        self.ran = 0

    def router(self) -> MessageRouter:
        router = MessageRouter()
        for name in ("hang", "freeze", "fail", "pause"):
            router.register_handler(name, getattr(self, name))
        return router

    async def hang(self, conn: Any, params: Any) -> None:
        self.ran += 1
        await asyncio.Event().wait()

    async def freeze(self, conn: Any, params: Any) -> str:
        """Holds up the whole event loop."""
        self.ran += 1
        time.sleep(params["seconds"])  # noqa: ASYNC251 - that is the fault
        return "late"

    async def pause(self, conn: Any, params: Any) -> None:
        await asyncio.sleep(params["seconds"])
        self.ran += 1

    async def fail(self, conn: Any, params: Any) -> None:
        self.ran += 1
        raise make_exception(params["kind"])


@contextmanager
def running(config: WebSocketRPCConfig, trouble: Trouble, **options: Any) -> Generator[Running]:
    server = Running(config, served_router(trouble.router()), ServerOptions(**options))
    try:
        yield server
    finally:
        assert server.stop()


def test_f14_a_handler_that_hangs_costs_its_caller_the_deadline_and_nobody_a_place(
    config: WebSocketRPCConfig, redis: Any
) -> None:
    """It is cancelled at the deadline; the one place there is goes to the next call."""
    config = config.model_copy(update={"response_key_ttl": 1})
    trouble, client = Trouble(), WebSocketRPCClient(config)
    with running(config, trouble, concurrency=1):
        for _ in range(3):
            with pytest.raises(RPCTimeoutError):
                client.call("hang", timeout=0.3)
            assert client.call("echo", {"n": 1}) == {"n": 1}
        assert trouble.ran == 3
        wait_until(lambda: is_clean(redis))
    client.close()


def test_f14_a_handler_that_holds_up_its_server_loses_it_its_calls(config: WebSocketRPCConfig, redis: Any) -> None:
    """Others take over within seconds. When it wakes it answers nothing that is no longer its own, and serves on."""
    trouble, client = Trouble(), WebSocketRPCClient(config)
    with running(config, trouble) as frozen, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "freeze", {"seconds": 8}, timeout=60)
        wait_until(lambda: trouble.ran == 1)
        with serving(config, Handlers()):
            with pytest.raises(RPCRemoteError, match="may have run") as caught:
                pending.result(BOUND_SECONDS)
            assert caught.value.error.code == RPCErrorCode.OUTCOME_UNKNOWN
            assert client.call("echo", {"n": 1}) == {"n": 1}
            wait_until(lambda: frozen.server.counts["lost"] == 1 and frozen.server.in_flight == 0)
            assert is_clean(redis)
        assert client.call("echo", {"n": 2}) == {"n": 2}
    client.close()


def every_kind() -> list[str]:
    """The names of what Python can raise."""
    found = [
        name
        for name, kind in vars(builtins).items()
        if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, Warning)
    ]
    return [*found, "CancelledError", "own"]


def make_exception(name: str) -> Any:
    if name == "CancelledError":
        return asyncio.CancelledError(CANARY)
    if name == "own":
        return type("Own", (BaseException,), {})(CANARY)
    kind: Any = getattr(builtins, name)
    if issubclass(kind, UnicodeTranslateError):
        return kind(CANARY, 0, 1, CANARY)
    if issubclass(kind, UnicodeEncodeError):
        return kind("utf-8", CANARY, 0, 1, CANARY)
    if issubclass(kind, UnicodeDecodeError):
        return kind("utf-8", CANARY.encode(), 0, 1, CANARY)
    if issubclass(kind, BaseExceptionGroup):
        return kind(CANARY, [ValueError(CANARY)])
    return kind(CANARY)


def test_f15_no_exception_ends_a_server_or_leaks(
    config: WebSocketRPCConfig, redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of fifty kinds and more reaches its caller as an error; only a ValueError shows its text, as is meant."""
    kinds = every_kind()
    assert len(kinds) >= 50
    trouble, client = Trouble(), WebSocketRPCClient(config)
    with running(config, trouble), caplog.at_level(logging.CRITICAL):
        for kind in kinds:
            request = dialect_b("fail", {"kind": kind})
            send(redis, request)
            error = reply_to(redis, request)["error"]
            if kind == "ValueError":
                assert error == {"code": "application_error", "message": CANARY}
            else:
                assert error["code"] == RPCErrorCode.INTERNAL_ERROR, kind
                assert CANARY not in error["message"], kind
        assert trouble.ran == len(kinds)
        assert client.call("echo", {"n": 1}) == {"n": 1}
        wait_until(lambda: is_clean(redis))
    client.close()


def test_f23_what_runs_is_answered_although_memory_is_full(own_redis: RedisServer, handlers: Handlers) -> None:
    """An answer frees more than it takes. No state is left half written."""
    config = WebSocketRPCConfig(enabled=True, redis_url=own_redis.url)
    client = WebSocketRPCClient(config)
    with serving(config, handlers), own_redis.client() as redis, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"])
        redis.config_set("maxmemory", "1")
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert is_clean(redis)
        redis.config_set("maxmemory", "0")
    client.close()


def test_f23_a_server_goes_on_living_while_memory_is_full(own_redis: RedisServer, handlers: Handlers) -> None:
    """Or others would take over what it runs, and report that it has died."""
    config = WebSocketRPCConfig(enabled=True, redis_url=own_redis.url, liveness_timeout=1)
    client = WebSocketRPCClient(config)
    with (
        serving(config, handlers) as first,
        serving(config, handlers) as second,
        own_redis.client() as redis,
        ThreadPoolExecutor(1) as pool,
    ):
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"])
        redis.config_set("maxmemory", "1")
        consumers = [running.server.consumer for running in (first, second)]
        later = max(redis.zscore(f"rpc:servers:{STREAM}", name) for name in consumers) + 2500
        wait_until(lambda: all(redis.zscore(f"rpc:servers:{STREAM}", name) > later for name in consumers))
        redis.config_set("maxmemory", "0")
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert handlers.ran == ["x"]
    client.close()


def test_names_that_are_no_text_do_not_stop_a_server(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """It looks at all servers and consumers each second, whoever has named them."""
    with serving(config, handlers) as running:
        servers, consumer = f"rpc:servers:{STREAM}", running.server.consumer
        redis.zadd(servers, {b"\xff": 1})
        redis.xgroup_createconsumer(STREAM, GROUP, b"\xff")
        looked_twice = redis.zscore(servers, consumer) + 2000

        wait_until(lambda: redis.zscore(servers, consumer) > looked_twice)
        look = Redis(config, 1)
        assert set(read_status(look, Keys(STREAM, GROUP, config.response_key_prefix)).servers) == {consumer}
        look.close()


def test_under_a_key_only_a_final_answer_stands(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    """A server that does not know the method yet, and one that is stopped for good while it runs, settle nothing."""
    client = WebSocketRPCClient(config)
    with running(config, Trouble()), pytest.raises(RPCRemoteError) as caught:
        client.call("held", {"name": "x"}, idempotency_key="k")
    assert caught.value.code == RPCErrorCode.METHOD_NOT_FOUND
    with serving(config, handlers, drain_seconds=0.1) as stopped, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, idempotency_key="k")
        wait_until(lambda: handlers.ran == ["x"])
        stopped.stop()
        with pytest.raises(RPCRemoteError) as caught:
            pending.result(BOUND_SECONDS)
    assert caught.value.code == RPCErrorCode.OUTCOME_UNKNOWN
    with serving(config, handlers):  # its `held` calls end at once
        assert client.call("held", {"name": "x"}, idempotency_key="k") == {"name": "x"}
        assert client.call("held", {"name": "x"}, idempotency_key="k") == {"name": "x"}
    assert handlers.ran == ["x", "x"]
    client.close()


def left_by_a_dead_server(redis: Any, entries: int) -> None:
    """So many of those that wait now are with a server that has died."""
    assert redis.xreadgroup(GROUP, "rpc-dead", {STREAM: ">"}, count=entries)
    redis.zadd(f"rpc:servers:{STREAM}", {"rpc-dead": 1})


def test_f02_callers_of_a_dead_server_are_told_also_when_the_others_are_busy(
    config: WebSocketRPCConfig, redis: Any
) -> None:
    """What a dead server has left came before what waits, and does not wait for the end of the rush."""
    trouble, client = Trouble(), WebSocketRPCClient(config)
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    with ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(client.call, "pause", {"seconds": 0}, timeout=60) for _ in range(2)]
        wait_until(lambda: redis.xlen(STREAM) == 2)
        left_by_a_dead_server(redis, 2)
        for _ in range(300):
            client.fire_and_forget("pause", {"seconds": 0.05})
        with running(config, trouble, concurrency=1, drain_seconds=60):
            for one in pending:
                with pytest.raises(RPCRemoteError) as caught:
                    one.result(BOUND_SECONDS)
                assert caught.value.code == RPCErrorCode.OUTCOME_UNKNOWN
            assert redis.xlen(STREAM) > 100
            redis.xtrim(STREAM, maxlen=0)
    client.close()


def test_f02_an_event_that_comes_while_another_is_taken_over_is_not_lost(
    config: WebSocketRPCConfig, redis: Any
) -> None:
    """There is one place, which the reader has promised to the next event when the older one is found."""
    trouble, client = Trouble(), WebSocketRPCClient(config)
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    client.fire_and_forget("pause", {"seconds": 2})
    left_by_a_dead_server(redis, 1)
    with running(config, trouble, concurrency=1) as server:
        wait_until(lambda: server.server.counts["recovered_run"] == 1)
        for _ in range(3):
            client.fire_and_forget("pause", {"seconds": 0})
        wait_until(lambda: is_clean(redis))

        assert trouble.ran == 4
        assert redis.xlen(f"{STREAM}:dead") == 0
    client.close()
