"""Defects 15, 18 and 19 of django-ipc 1.0.9: who may call what, what figures are worth, and what is written down."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from django_cfg.errors import NoResponders
from django_cfg.models.websocket import RPCErrorCode
from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import Redis
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.server import ServerOptions
from django_cfg.modules.django_rpc.status import read_status
from django_cfg.rpc.call import Call
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Transport
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.wire import GROUP, STREAM, ask, dialect_a, send, wait_until


@pytest.fixture
def server(config: WebSocketRPCConfig, handlers: Handlers) -> Iterator[Running]:
    with serving(config, handlers) as running:
        yield running


@pytest.fixture
def client(config: WebSocketRPCConfig) -> Iterator[WebSocketRPCClient]:
    client = WebSocketRPCClient(config)
    yield client
    client.close()


def test_15_built_in_methods_are_not_there_for_browsers() -> None:
    project = MessageRouter()
    router = served_router(project)

    for name in ("send_notification", "send_batch_notification", "broadcast", "echo", "health"):
        method = router.get(name)
        assert method is not None
        assert method.transports == {Transport.REDIS}
        assert name not in project


@pytest.mark.parametrize("name", ["send_notification", "send_batch_notification", "broadcast", "echo", "health"])
async def test_15_a_browser_that_calls_one_hears_that_there_is_none(name: str) -> None:
    """Whoever is logged in: the very words of a method that does not exist, so that nothing can be found out."""
    runner = CallRunner(served_router(MessageRouter()), lanes=Lanes(1), claims=MemoryClaims())
    reply = await runner.run(browser_call(name))
    unknown = await runner.run(browser_call("x" * len(name)))

    assert reply.error is not None
    assert unknown.error is not None
    assert reply.error.code == RPCErrorCode.METHOD_NOT_FOUND
    assert reply.error.message.replace(name, "") == unknown.error.message.replace("x" * len(name), "")


def browser_call(method: str) -> Call:
    return Call(
        method=method,
        params=b'{"target": "all", "event_type": "x", "payload": {}}',
        timeout_seconds=5,
        user_id="42",
        correlation_id=str(uuid.uuid4()),
        transport=Transport.CENTRIFUGO,
    )


def test_15_a_call_over_redis_is_a_services_and_no_users(
    redis: Any, server: Running, client: WebSocketRPCClient, handlers: Handlers
) -> None:
    """Also where the parameters claim otherwise."""
    client.call("typed", {"message": "abc", "user_id": "1"})

    (conn,) = handlers.conns
    assert conn.is_service
    assert conn.user_id is None
    assert conn.transport == Transport.REDIS


def test_15_a_method_of_the_browsers_cannot_be_reached_over_redis(config: WebSocketRPCConfig, redis: Any) -> None:
    ran: list[Any] = []

    async def mine(conn: Any, params: Any) -> None:
        ran.append(params)

    project = MessageRouter()
    project.register_handler("mine", mine, transports=[Transport.CENTRIFUGO])
    running = Running(config, served_router(project), ServerOptions())
    try:
        assert ask(redis, dialect_a("mine", {}))["error_code"] == RPCErrorCode.METHOD_NOT_FOUND
    finally:
        running.stop()
    assert ran == []


def test_18_health_is_not_that_redis_answers(client: WebSocketRPCClient, redis: Any) -> None:
    assert redis.ping()
    assert not client.health_check()
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)  # somebody was here, and answers nothing
    assert not client.health_check(timeout=0.3)


def test_18_health_is_lost_with_the_last_server_and_comes_with_the_next(
    config: WebSocketRPCConfig, client: WebSocketRPCClient, handlers: Handlers
) -> None:
    assert not client.health_check()
    with serving(config, handlers) as running:
        assert client.health_check()
        running.stop()
        assert not client.health_check()
        with serving(config, handlers):
            assert client.health_check()


def test_18_the_figures_are_counted(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    """Each of them moves with what it is named after."""
    keys = Keys(STREAM, GROUP, "list:response:")
    look = Redis(config, 1)
    assert read_status(look, keys).servers == {}
    with serving(config, handlers, concurrency=2) as running:
        for n in range(5):
            send(redis, dialect_a("held", {"name": str(n)}))
        wait_until(lambda: len(handlers.ran) == 2)
        status = read_status(look, keys)
        assert status.servers == {running.server.consumer: 2}
        assert (status.running, status.waiting, status.dead_letters) == (2, 3, 0)
        send(redis, "{not json")
        handlers.release.set()
        wait_until(lambda: read_status(look, keys).dead_letters == 1)
        wait_until(lambda: read_status(look, keys).running == 0)
        assert read_status(look, keys).waiting == 0
    assert read_status(look, keys).servers == {}
    look.close()


def test_18_a_call_without_a_server_fails_at_once(client: WebSocketRPCClient) -> None:
    with pytest.raises(NoResponders):
        client.call("echo", timeout=300)


def test_19_params_reach_the_log_redacted_and_redis_not_at_all(
    config: WebSocketRPCConfig, redis: Any, server: Running, caplog: pytest.LogCaptureFixture, shared_redis: RedisServer
) -> None:
    client = WebSocketRPCClient(config.model_copy(update={"log_rpc_calls": True}))
    with caplog.at_level(logging.INFO, logger="django_cfg.rpc.redis"):
        client.call("echo", {"password": "hunter2", "name": "Ann"})
    client.close()

    assert "echo" in caplog.text
    assert "Ann" in caplog.text
    assert "hunter2" not in caplog.text
    assert not redis.exists("stream:rpc-logs")


@pytest.mark.parametrize("method", ["typed", "boom", "no_such", "nothing"])
def test_19_params_stay_out_of_every_log_and_every_key(
    config: WebSocketRPCConfig, redis: Any, server: Running, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """On both sides, however the call ends, at every level; after it Redis holds nothing of them."""
    client = WebSocketRPCClient(config.model_copy(update={"log_rpc_calls": True, "log_level": "DEBUG"}))
    with caplog.at_level(logging.DEBUG):
        (outcome,) = client.call_many([(method, {"deep": [{"api_token": "hunter2"}], "card": {"number": "hunter2"}})])
        wait_until(lambda: server.server.in_flight == 0)
    client.close()

    assert method == "nothing" or isinstance(outcome, Exception)
    assert caplog.records
    assert "hunter2" not in caplog.text
    assert all(b"hunter2" not in redis.dump(key) for key in redis.scan_iter())


def test_19_what_is_published_is_json(config: WebSocketRPCConfig, redis: Any, client: WebSocketRPCClient) -> None:
    """Not how Python shows a dict."""
    with redis.pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe("news")
        wait_until(lambda: redis.pubsub_numsub("news") == [(b"news", 1)])
        assert client.broadcast("news", {"it's": None, "true": True}) == 1
        while (heard := listening.get_message(timeout=10)) is None:
            continue  # that was the confirmation

    assert json.loads(heard["data"]) == {"it's": None, "true": True}
