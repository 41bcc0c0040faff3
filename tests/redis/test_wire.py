"""The server against requests written by hand: what older clients send, and what they expect."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.serving import LONGEST_NAME, Handlers, Running, serving
from tests.redis.wire import ask, dialect_a, dialect_b, is_clean, reply_to, send, wait_until

SIX_KEYS = {"correlation_id", "timestamp", "success", "error", "error_code", "result"}


@pytest.fixture(autouse=True)
def server(config: WebSocketRPCConfig, handlers: Handlers) -> Iterator[Running]:
    with serving(config, handlers) as running:
        yield running


@pytest.mark.parametrize("dialect", [dialect_a, dialect_b])
def test_a_result_has_the_six_keys(redis: Any, dialect: Any) -> None:
    request = dialect("echo", {"n": 1})

    reply = ask(redis, request)

    assert reply.keys() == SIX_KEYS
    assert reply["correlation_id"] == request["correlation_id"]
    assert reply["success"] is True
    assert reply["result"] == {"n": 1}
    assert reply["error"] is None
    assert reply["error_code"] is None
    assert datetime.fromisoformat(reply["timestamp"]).utcoffset() is not None


def test_an_error_in_dialect_a_has_the_six_keys(redis: Any) -> None:
    reply = ask(redis, dialect_a("boom", {}))

    assert reply.keys() == SIX_KEYS
    assert reply["success"] is False
    assert reply["error"] == "insufficient funds"
    assert reply["error_code"] == "application_error"
    assert reply["result"] is None


def test_an_error_in_dialect_b_is_one_that_its_clients_find(redis: Any) -> None:
    reply = ask(redis, dialect_b("boom", {}))

    assert reply == {"type": "error", "error": {"code": "application_error", "message": "insufficient funds"}}


def test_null_is_an_empty_object_in_dialect_b_alone(redis: Any) -> None:
    assert ask(redis, dialect_b("nothing", {}))["result"] == {}
    assert ask(redis, dialect_a("nothing", {}))["result"] is None


def test_a_name_that_only_our_router_takes_is_carried(config: WebSocketRPCConfig, redis: Any) -> None:
    assert ask(redis, dialect_b(LONGEST_NAME, {}))["result"] == {"count": 1}
    client = WebSocketRPCClient(config)
    try:
        assert client.call(LONGEST_NAME) == {"count": 2}
    finally:
        client.close()


def test_the_short_name_of_the_id_is_read(redis: Any) -> None:
    request = dialect_a("echo", {"n": 1})
    request["cid"] = request.pop("correlation_id")

    reply = ask(redis, request)

    assert reply["correlation_id"] == request["cid"]


def test_a_reply_expires_when_nobody_fetches_it(redis: Any) -> None:
    request = dialect_a("echo", {})
    send(redis, request)
    wait_until(lambda: redis.exists(request["reply_to"]))

    assert 0 < redis.ttl(request["reply_to"]) <= 60


@pytest.mark.parametrize("dialect", [dialect_a, dialect_b])
def test_fire_and_forget_runs_and_leaves_nothing(redis: Any, handlers: Handlers, dialect: Any) -> None:
    request = dialect("effect", {"name": "x"}, timeout=0)
    if dialect is dialect_b:
        del request["reply_to"]
    send(redis, request)

    wait_until(lambda: handlers.ran == ["x"] and is_clean(redis))


def test_a_second_request_with_an_id_runs_nothing_and_gets_the_first_reply(redis: Any, handlers: Handlers) -> None:
    request = dialect_a("effect", {"name": "x"})
    first = ask(redis, request)
    second = ask(redis, {**request, "reply_to": "list:response:elsewhere"})

    assert handlers.ran == ["x"]
    assert second["result"] == first["result"] == {"count": 1}


def test_a_second_request_while_the_first_runs_waits_for_its_reply(redis: Any, handlers: Handlers) -> None:
    request = dialect_a("held", {"name": "x"})
    again = {**request, "reply_to": "list:response:elsewhere"}
    send(redis, request)
    send(redis, again)
    wait_until(lambda: handlers.ran == ["x"])
    handlers.release.set()

    assert reply_to(redis, request)["result"] == reply_to(redis, again)["result"] == {"name": "x"}
    assert handlers.ran == ["x"]


def test_an_id_with_other_params_is_refused(redis: Any, handlers: Handlers) -> None:
    request = dialect_a("effect", {"name": "x"})
    ask(redis, request)

    reply = ask(redis, {**request, "params": {"name": "y"}})

    assert reply["error_code"] == "validation_error"
    assert handlers.ran == ["x"]


def test_a_dialect_b_repeat_of_a_dialect_a_request_is_answered_in_its_own_dialect(redis: Any) -> None:
    request = dialect_a("boom", {})
    ask(redis, request)

    assert ask(redis, {**request, "type": "rpc"})["type"] == "error"


def test_what_our_client_writes_is_what_older_servers_read(config: WebSocketRPCConfig, redis: Any) -> None:
    client = WebSocketRPCClient(config)
    seen: dict[str, Any] = {}
    with redis.monitor() as monitor:
        client.call("echo", {"n": 1}, timeout=7)
        for command in monitor.listen():
            if command["command"].startswith("XADD stream:requests"):
                seen = command
                break
    client.close()

    raw = seen["command"]
    payload = json.loads(raw[raw.index("{") : raw.rindex("}") + 1].replace('\\"', '"'))
    assert payload.keys() == dialect_a("echo", {}).keys()
    assert uuid.UUID(payload["correlation_id"]).version == 4
    assert payload["reply_to"] == f"list:response:{payload['correlation_id']}"
    assert payload["timeout"] == 7
    assert payload["params"] == {"n": 1}
    assert " payload " in raw[: raw.index("{")]


def test_our_client_learns_from_an_older_server(config: WebSocketRPCConfig, redis: Any, server: Running) -> None:
    """One that keeps no record and writes no word that it lives: a group exists, and that is all."""
    server.stop()
    redis.flushall()
    redis.xgroup_create("stream:requests", "rpc_group", id="0", mkstream=True)
    client = WebSocketRPCClient(config)
    answers = OldServer(redis)

    result = answers.during(lambda: client.call("echo", {"n": 1}, timeout=5))

    assert result == {"n": 1}
    client.close()


class OldServer:
    """Answers one request as django-ipc 1.0.9 does."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def during(self, work: Any) -> Any:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            self._answer()
            return future.result(10)

    def _answer(self) -> None:
        ((_, ((entry_id, fields),)),) = self._redis.xreadgroup(
            "rpc_group", "ws_server_1", {"stream:requests": ">"}, count=1, block=5000
        )
        request = json.loads(fields[b"payload"])
        uuid.UUID(request["correlation_id"])
        reply = {
            "correlation_id": request["correlation_id"],
            "timestamp": "2026-11-20T09:48:05.413699Z",
            "success": True,
            "error": None,
            "error_code": None,
            "result": request["params"],
        }
        self._redis.lpush(request["reply_to"], json.dumps(reply))
        self._redis.expire(request["reply_to"], 60)
        self._redis.xack("stream:requests", "rpc_group", entry_id)
