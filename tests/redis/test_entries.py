"""What a server makes of entries that it sees twice, or after another server: nothing runs a second time."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, dialect_a, dialect_b, is_clean, reply_to, send, wait_until


def take(running: Running, entry_id: str, request: dict[str, Any], asked_at: float) -> None:
    fields = {b"payload": json.dumps(request).encode()}
    taking = running.server._entries.take([(entry_id, fields)], asked_at)
    asyncio.run_coroutine_threadsafe(taking, running._loop).result(BOUND_SECONDS)


def test_an_entry_that_ended_while_redis_was_asked_for_it_is_left_alone(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """After a lost link a server asks for its open entries: the answer may name one that has ended meanwhile."""
    request = dialect_b("effect", {"name": "x"}, timeout=0)
    with serving(config, handlers) as running:
        asked_at = time.monotonic()
        entry_id = send(redis, request)
        wait_until(lambda: running.server.in_flight == 0 and handlers.ran == ["x"])
        take(running, entry_id, request, asked_at)

        assert running.server.in_flight == 0
    assert handlers.ran == ["x"]


def test_an_entry_that_redis_names_after_its_end_has_come_back(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """A failover brings it back. A call has been answered and does not run again."""
    request = dialect_b("effect", {"name": "x"})
    with serving(config, handlers) as running:
        entry_id = send(redis, request)
        reply_to(redis, request)
        wait_until(lambda: running.server.in_flight == 0)
        take(running, entry_id, request, time.monotonic())

        wait_until(lambda: running.server.in_flight == 0)
        assert running.server.counts["recovered_unknown"] == 1
    assert handlers.ran == ["x"]


def test_a_record_that_was_taken_for_an_entry_does_not_hold_it_up(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """The answer to taking it was lost; whoever reads the entry then knows that it is the entry's own record."""
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    request = dialect_a("effect", {"name": "x"})
    entry_id = send(redis, request)
    mark = protocol.call_mark("effect", b'{"name":"x"}')
    redis.set(f"rpc:call:{request['correlation_id']}", protocol.taken_record(mark, entry_id))
    with serving(config, handlers):
        assert reply_to(redis, request)["result"] == {"count": 1}


def test_a_second_attempt_whose_server_died_waits_for_the_first(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """Both are under one key; the first still runs, elsewhere."""
    others = Handlers()
    client = WebSocketRPCClient(config)
    again = dialect_a("held", {"name": "x"}, correlation_id=protocol.keyed_correlation_id("held", "k"))
    with serving(config, handlers, concurrency=1), ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.call, "held", {"name": "x"}, timeout=60, idempotency_key="k")
        wait_until(lambda: handlers.ran == ["x"])
        redis.xadd(STREAM, {"payload": json.dumps(again), "key": "k"})
        assert redis.xreadgroup(GROUP, "rpc-server-gone-1", {STREAM: ">"})
        redis.zadd(f"rpc:servers:{STREAM}", {"rpc-server-gone-1": 1})
        with serving(config, others) as other:
            wait_until(lambda: other.server.counts["recovered_run"] == 1)
            time.sleep(0.2)  # for it to run, if it did
            assert others.ran == []
            handlers.release.set()

            assert first.result(BOUND_SECONDS) == {"name": "x"}
            assert reply_to(redis, again)["result"] == {"name": "x"}
            wait_until(lambda: is_clean(redis))
    assert handlers.ran == ["x"]
    assert others.ran == []
    client.close()


def test_services_that_share_a_database_do_not_share_keys(config: WebSocketRPCConfig, redis: Any) -> None:
    shop, billing = (config.model_copy(update={"request_stream": f"stream:{name}"}) for name in ("shop", "billing"))
    ran = Handlers(), Handlers()
    with serving(shop, ran[0]), serving(billing, ran[1]):
        for stream in (shop, billing):
            client = WebSocketRPCClient(stream)
            assert client.call("effect", {"name": "x"}, idempotency_key="k") == {"count": 1}
            client.close()

    assert [handlers.ran for handlers in ran] == [["x"], ["x"]]


def test_a_retry_is_answered_from_the_record_of_an_older_server(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """Which knows one spelling only."""
    mark = protocol.call_mark("effect", b'{"b":1,"a":2}')
    key = f"rpc:call:{protocol.keyed_correlation_id('effect', 'k')}"
    redis.set(key, protocol.finished_record(mark, b'{"result":7}', keyed=True))
    client = WebSocketRPCClient(config)
    with serving(config, handlers):
        assert client.call("effect", {"b": 1, "a": 2}, idempotency_key="k") == 7
    client.close()
    assert handlers.ran == []


def test_what_is_not_final_leaves_the_key_of_an_older_caller_to_the_next_attempt(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    correlation_id = protocol.keyed_correlation_id("no_such", "k")
    request = dialect_a("no_such", {"b": 1, "a": 2}, correlation_id=correlation_id)
    with serving(config, handlers):
        mark = protocol.call_mark("no_such", b'{"b":1,"a":2}')
        record, entry_id = f"rpc:call:{correlation_id}", f"{int(time.time() * 1000)}-7"
        redis.set(record, protocol.taken_record(mark, entry_id))
        redis.xadd(STREAM, {"payload": json.dumps(request), "key": "k", "fresh": "1"}, id=entry_id)
        assert reply_to(redis, request)["error_code"] == "method_not_found"

        wait_until(lambda: not redis.exists(record))
