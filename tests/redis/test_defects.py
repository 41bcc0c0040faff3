"""What django-ipc 1.0.9 gets wrong, one test for each of its defects, by number and name.

15, 18 and 19 are in `test_defects_of_trust.py`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from django_cfg.errors import RPCOverloadedError
from django_cfg.models.websocket import RPCErrorCode
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.serving import EchoResult, Handlers, Running, serving
from tests.redis.wire import GROUP, STREAM, ask, dialect_a, dialect_b, is_clean, reply_to, send, wait_until


@pytest.fixture
def server(config: WebSocketRPCConfig, handlers: Handlers) -> Iterator[Running]:
    with serving(config, handlers) as running:
        yield running


@pytest.fixture
def client(config: WebSocketRPCConfig) -> Iterator[WebSocketRPCClient]:
    client = WebSocketRPCClient(config)
    yield client
    client.close()


def test_01_failures_are_acknowledged(redis: Any, server: Running) -> None:
    for request in (dialect_a("boom", {}), dialect_a("no_such", {}), dialect_a("typed", {}), "{not json"):
        send(redis, request)
    redis.xadd(STREAM, {"other": "field"})

    wait_until(lambda: server.server.counts["malformed"] == 2 and redis.xlen(STREAM) == 0)
    assert redis.xpending(STREAM, GROUP)["pending"] == 0
    assert redis.xlen(f"{STREAM}:dead") == 2


def test_02_what_a_dead_server_left_is_recovered_and_its_consumer_forgotten(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    event = dialect_b("effect", {"name": "event"}, timeout=0)
    call = dialect_a("effect", {"name": "call"})
    idempotent = dialect_a("again", {"name": "idempotent"})
    for request in (event, call, idempotent):
        send(redis, request)
    redis.xreadgroup(GROUP, "rpc-server-gone-1", {STREAM: ">"})
    redis.zadd(f"rpc:servers:{STREAM}", {"rpc-server-gone-1": 1, "served": 0})
    with serving(config, handlers):
        assert reply_to(redis, call)["error_code"] == RPCErrorCode.OUTCOME_UNKNOWN
        assert reply_to(redis, idempotent)["success"]
        wait_until(lambda: is_clean(redis))
        wait_until(lambda: b"rpc-server-gone-1" not in {row["name"] for row in redis.xinfo_consumers(STREAM, GROUP)})

    assert sorted(handlers.ran) == ["event", "idempotent"]


@pytest.mark.parametrize("dialect", [dialect_a, dialect_b])
@pytest.mark.parametrize("method", ["silent_failure", "wordy"])
def test_03_a_caller_always_hears_of_a_failure(redis: Any, server: Running, method: str, dialect: Any) -> None:
    reply = ask(redis, dialect(method, {}))

    message = reply["error"] if isinstance(reply["error"], str) else reply["error"]["message"]
    assert 0 < len(message) <= 500


def test_03_also_with_an_id_that_is_no_uuid_and_with_bad_json(redis: Any, server: Running) -> None:
    assert ask(redis, dialect_a("echo", {"n": 1}, correlation_id="not-a-uuid"))["result"] == {"n": 1}

    broken = dialect_a("echo", {})
    send(redis, json.dumps(broken)[:-1])
    assert reply_to(redis, broken)["error_code"] == RPCErrorCode.VALIDATION_ERROR


def test_04_replies_survive_a_stall_of_redis(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    with serving(config, handlers, concurrency=300):
        requests = [dialect_a("held", {"name": str(n)}) for n in range(200)]
        for request in requests:
            send(redis, request)
        wait_until(lambda: len(handlers.ran) == 200)
        redis.execute_command("CLIENT", "PAUSE", 300)
        handlers.release.set()

        assert all(reply_to(redis, request)["success"] for request in requests)


def test_05_nothing_of_a_finished_call_is_kept(server: Running, client: WebSocketRPCClient) -> None:
    before = server.tasks()
    client.call_many([("echo", {"n": n}) for n in range(300)])

    wait_until(lambda: server.server.in_flight == 0)
    wait_until(lambda: server.tasks() <= before)


def test_06_concurrency_is_bounded(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    with serving(config, handlers, concurrency=3):
        requests = [dialect_a("held", {"name": str(n)}) for n in range(8)]
        for request in requests:
            send(redis, request)
        wait_until(lambda: len(handlers.ran) == 3)
        time.sleep(0.2)  # for a fourth to begin, if there were one
        assert len(handlers.ran) == 3
        assert redis.xpending(STREAM, GROUP)["pending"] == 3
        handlers.release.set()
        for request in requests:
            assert reply_to(redis, request)["success"]


def test_07_stopping_finishes_what_runs(redis: Any, server: Running, handlers: Handlers) -> None:
    request = dialect_a("held", {"name": "x"})
    send(redis, request)
    wait_until(lambda: handlers.ran == ["x"])
    handlers.release.set()

    assert server.stop()
    assert reply_to(redis, request)["result"] == {"name": "x"}
    assert is_clean(redis)


def test_08_a_lost_group_is_created_again(redis: Any, server: Running, client: WebSocketRPCClient) -> None:
    client.call("echo")
    redis.flushall()
    wait_until(lambda: redis.exists(STREAM) and redis.zcard(f"rpc:servers:{STREAM}") > 1)

    assert client.call("echo", {"n": 2}) == {"n": 2}
    assert client.health_check()


def test_09_a_request_whose_caller_has_left_is_not_run(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    send(redis, dialect_a("effect", {"name": "late"}, timeout=1))
    time.sleep(1.1)  # its caller's patience
    with serving(config, handlers) as running:
        wait_until(lambda: redis.xlen(STREAM) == 0)

        assert running.server.counts["expired"] == 1
    assert handlers.ran == []


def test_10_a_reply_never_lies_without_an_expiry(redis: Any, server: Running) -> None:
    requests = [dialect_a("echo", {"n": n}) for n in range(50)]
    for request in requests:
        send(redis, request)
    for request in requests:
        wait_until(lambda request=request: redis.exists(request["reply_to"]))
        assert redis.ttl(request["reply_to"]) > 0


def test_11_types_are_kept_on_both_sides(redis: Any, server: Running, client: WebSocketRPCClient) -> None:
    assert client.call("typed", {"message": "abc"}, EchoResult) == EchoResult(message="abc", length=3)
    with pytest.raises(ValidationError):
        client.call("echo", {"message": "abc", "length": "abc"}, EchoResult)


def test_12_errors_and_null_reach_clients_of_dialect_b(redis: Any, server: Running) -> None:
    assert ask(redis, dialect_b("boom", {}))["error"]["message"] == "insufficient funds"
    assert "no_such" in ask(redis, dialect_b("no_such", {}))["error"]["message"]
    assert "result" in ask(redis, dialect_b("nothing", {}))


def test_13_fire_and_forget_without_a_reply_list_logs_no_error(
    redis: Any, server: Running, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    request = dialect_b("effect", {"name": "x"}, timeout=0)
    del request["reply_to"]
    with caplog.at_level(logging.WARNING):
        send(redis, request)
        wait_until(lambda: handlers.ran == ["x"] and redis.xlen(STREAM) == 0)

    assert caplog.records == []


def test_14_replies_go_nowhere_but_under_the_prefix(redis: Any, server: Running, handlers: Handlers) -> None:
    redis.rpush("celery", "task-1", "task-2")
    for dialect in (dialect_a, dialect_b):
        send(redis, dialect("effect", {"name": "x"}, reply_to="celery"))
        send(redis, json.dumps(dialect("effect", {}, reply_to="celery"))[:-1])
    wait_until(lambda: redis.xlen(STREAM) == 0)

    assert redis.lrange("celery", 0, -1) == [b"task-1", b"task-2"]
    assert redis.ttl("celery") == -1
    assert handlers.ran == []
    assert redis.xlen(f"{STREAM}:dead") == 4


def test_16_any_server_can_answer_any_request(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    others = Handlers()
    with serving(config, handlers, concurrency=2), serving(config, others, concurrency=2):
        client = WebSocketRPCClient(config)
        assert client.call_many([("effect", {"name": str(n)}) for n in range(60)]).count(None) == 0
        client.close()

    assert len(handlers.ran) + len(others.ran) == 60
    assert handlers.ran
    assert others.ran


def test_17_nothing_unread_is_ever_trimmed(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    client = WebSocketRPCClient(config.model_copy(update={"stream_maxlen": 300}))
    for n in range(300):
        client.fire_and_forget("effect", {"name": str(n)})
    with pytest.raises(RPCOverloadedError):
        client.fire_and_forget("effect", {"name": "300"})
    client.close()
    with serving(config, handlers):
        wait_until(lambda: len(handlers.ran) == 300)

    assert sorted(handlers.ran, key=int) == [str(n) for n in range(300)]
