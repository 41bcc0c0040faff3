"""Many calls at once whose link breaks, whose script is forgotten, whose Redis refuses them or changes its part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_cfg.errors import RPCConnectionError, RPCErrorCode, RPCTimeoutError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.faults.proxy import Proxy, proxied
from tests.redis.wire import BOUND_SECONDS, STREAM, is_clean, wait_until

CALLS = 60
"""More than leave in one write."""

both_paths = pytest.mark.parametrize("most_fused", [0, 1000], ids=["shared", "fused"])


@pytest.fixture
def link(shared_redis: RedisServer) -> Iterator[Proxy]:
    with proxied(shared_redis.port) as proxy:
        yield proxy


def client_of(config: WebSocketRPCConfig, most_fused: int, port: int | None = None) -> WebSocketRPCClient:
    if port is not None:
        config = config.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/2"})
    return WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))


def named(method: str, count: int = CALLS) -> list[tuple[str, dict[str, str]]]:
    return [(method, {"name": str(number)}) for number in range(count)]


def once_each(handlers: Handlers, count: int = CALLS) -> bool:
    return Counter(handlers.ran) == {str(number): 1 for number in range(count)}


def is_clean_after_calls(redis: Any, client: WebSocketRPCClient) -> bool:
    """They remove what came too late, or was found elsewhere before it had come."""
    assert client.call_many([("echo", {"n": 2})]) == [{"n": 2}]
    return is_clean(redis)


@both_paths
def test_f09_a_link_that_breaks_while_they_run_loses_none(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    client = client_of(config, most_fused, link.port)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call_many, named("held"), 60)
        wait_until(lambda: len(handlers.ran) == CALLS)
        link.reset()
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == [{"name": str(number)} for number in range(CALLS)]
        assert once_each(handlers)
        wait_until(lambda: is_clean_after_calls(redis, client))
    client.close()


@both_paths
def test_f11_replies_lost_in_a_one_way_link_are_found(
    config: WebSocketRPCConfig, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """Redis has confirmed none of them, as far as their caller can tell."""
    client = client_of(config, most_fused, link.port)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        client.call("echo")
        link.down.hold()
        pending = pool.submit(client.call_many, named("effect", 16), 60)
        wait_until(lambda: len(handlers.ran) == 16)
        link.reset()
        link.release()

        assert sorted(result["count"] for result in pending.result(BOUND_SECONDS)) == list(range(1, 17))
        assert once_each(handlers, 16)
    client.close()


@both_paths
def test_f09_those_that_had_not_left_when_the_link_broke_are_sent_again(
    config: WebSocketRPCConfig, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """It carries so little at a time that it breaks in the middle of them."""
    client = client_of(config, most_fused, link.port)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        client.call("echo")
        link.up.slice_bytes, link.up.bytes_per_second = 1000, 100_000
        pending = pool.submit(client.call_many, named("effect"), 60)
        wait_until(lambda: len(handlers.ran) >= 1)
        link.reset()
        link.up.slice_bytes = link.up.bytes_per_second = 0

        assert len(handlers.ran) < CALLS
        assert sorted(result["count"] for result in pending.result(BOUND_SECONDS)) == list(range(1, CALLS + 1))
        assert once_each(handlers)
    client.close()


@both_paths
def test_no_calls_open_no_connection(config: WebSocketRPCConfig, redis: Any, most_fused: int) -> None:
    client = client_of(config, most_fused)
    before = redis.info("stats")["total_connections_received"]

    assert client.call_many([]) == []
    assert redis.info("stats")["total_connections_received"] == before
    client.close()


@both_paths
def test_a_forgotten_script_is_sent_again(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = client_of(config, most_fused)
    with serving(config, handlers):
        client.call("echo")
        redis.script_flush()

        assert len(client.call_many(named("effect"))) == CALLS
        assert once_each(handlers)
    client.close()


@both_paths
def test_f23_redis_out_of_memory_refuses_each(own_redis: RedisServer, handlers: Handlers, most_fused: int) -> None:
    config = WebSocketRPCConfig(enabled=True, redis_url=own_redis.url)
    client = client_of(config, most_fused)
    with serving(config, handlers), own_redis.client() as redis:
        client.call("echo")
        redis.config_set("maxmemory", "1")
        outcomes = client.call_many(named("effect"), 60)
        redis.config_set("maxmemory", "0")

        assert {(type(outcome), outcome.code) for outcome in outcomes} == {
            (RPCConnectionError, RPCErrorCode.REDIS_ERROR)
        }
        assert handlers.ran == []
        assert len(client.call_many(named("effect"))) == CALLS
    client.close()


@both_paths
def test_what_is_too_much_is_refused_and_the_rest_runs(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    config = config.model_copy(update={"stream_maxlen": 100})
    client = client_of(config, most_fused)
    with serving(config, handlers) as running, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call_many, named("held", 130), 60)
        wait_until(lambda: redis.xlen(STREAM) == 100 and running.server.in_flight == 100)
        handlers.release.set()
        outcomes = pending.result(BOUND_SECONDS)

        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert {type(outcome).__name__ for outcome in refused} == {"RPCOverloadedError"}
        assert len(refused) == 30
        assert len(handlers.ran) == 100
    client.close()


@both_paths
def test_those_without_a_reply_at_the_deadline_say_where_they_are(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = client_of(config, most_fused)
    with serving(config, handlers):
        calls = [("echo", {"n": 1}), *named("held", 3)]
        first, *others = client.call_many(calls, timeout=1)
        handlers.release.set()

        assert first == {"n": 1}
        assert {type(error) for error in others} == {RPCTimeoutError}
        wait_until(lambda: is_clean_after_calls(redis, client))
    client.close()


@both_paths
@pytest.mark.parametrize("many", [False, True], ids=["call", "call_many"])
def test_f07_a_master_that_is_a_replica_for_a_moment_loses_no_call(
    own_redis: RedisServer, handlers: Handlers, most_fused: int, many: bool
) -> None:
    """It ends every wait with an error. That refuses nothing: the requests are there, and are running."""
    config = WebSocketRPCConfig(enabled=True, redis_url=own_redis.url)
    client = client_of(config, most_fused)
    with serving(config, handlers), own_redis.client() as redis, ThreadPoolExecutor(1) as pool:
        if many:
            pending = pool.submit(client.call_many, named("held"), 60)
        else:
            pending = pool.submit(lambda: [client.call("held", {"name": "0"}, timeout=60)])
        count = CALLS if many else 1
        wait_until(lambda: len(handlers.ran) == count)
        redis.replicaof("127.0.0.1", 1)
        redis.replicaof("NO", "ONE")
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == [{"name": str(number)} for number in range(count)]
        assert once_each(handlers, count)
    client.close()
