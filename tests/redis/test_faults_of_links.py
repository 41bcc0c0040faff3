"""Links to Redis that go half-open, lose replies, reorder them and deliver twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_cfg.errors import RPCError, RPCErrorCode, RPCRemoteError, RPCTimeoutError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.faults.proxy import Proxy, proxied
from tests.redis.wire import BOUND_SECONDS, dialect_b, is_clean, reply_to, send, wait_until

both_paths = pytest.mark.parametrize("most_fused", [0, 1000], ids=["shared", "fused"])


@pytest.fixture
def link(shared_redis: RedisServer) -> Iterator[Proxy]:
    with proxied(shared_redis.port) as proxy:
        yield proxy


def through(link: Proxy, config: WebSocketRPCConfig) -> WebSocketRPCConfig:
    return config.model_copy(update={"redis_url": f"redis://127.0.0.1:{link.port}/2"})


def make_client(config: WebSocketRPCConfig, most_fused: int) -> WebSocketRPCClient:
    return WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))


def test_f09_a_server_behind_a_half_open_link_is_replaced_and_speaks_no_more(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, link: Proxy
) -> None:
    """The caller learns within seconds. The answer that was on its way in the dead link changes nothing any more."""
    client = WebSocketRPCClient(config)
    others = Handlers()
    with serving(through(link, config), handlers) as cut_off, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=60)
        wait_until(lambda: handlers.ran == ["x"])
        link.hold()
        handlers.release.set()  # its lease holds still: it answers, into the link
        with serving(config, others):
            with pytest.raises(RPCRemoteError, match="may have run") as caught:
                pending.result(BOUND_SECONDS)
            assert caught.value.error.code == RPCErrorCode.OUTCOME_UNKNOWN
            (key,) = redis.keys("rpc:call:*")
            record = redis.get(key)
            link.release()
            wait_until(lambda: cut_off.server.in_flight == 0)

            assert redis.get(key) == record
            assert is_clean(redis)
            assert client.call("echo", {"n": 1}) == {"n": 1}
    client.close()


@both_paths
def test_f09_a_caller_behind_a_half_open_link_learns_at_its_deadline(
    config: WebSocketRPCConfig, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """Nothing hangs beyond the deadline, and the next call finds a link that works."""
    client = make_client(through(link, config), most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        client.call("echo")
        link.hold()
        with pytest.raises(RPCTimeoutError) as caught:
            pool.submit(client.call, "echo", timeout=1).result(BOUND_SECONDS)
        assert caught.value.details == {"state": "unreachable"}
        link.release()

        wait_until(lambda: answers(client))
    client.close()


def answers(client: WebSocketRPCClient) -> bool:
    try:
        return bool(client.call("echo", {"n": 1}, timeout=2) == {"n": 1})
    except RPCError:
        return False


@both_paths
def test_f11_a_reply_that_a_one_way_link_keeps_back_is_found_by_its_key(
    config: WebSocketRPCConfig, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """Requests pass and replies do not: the attempt ends in a timeout, the next under the key in the same reply."""
    client = make_client(through(link, config), most_fused)
    with serving(config, handlers):
        client.call("echo")
        link.down.hold()
        with pytest.raises(RPCTimeoutError):
            client.call("effect", {"name": "x"}, timeout=1, idempotency_key="k")
        wait_until(lambda: handlers.ran == ["x"])
        link.reset()
        link.release()

        wait_until(lambda: answers(client))
        assert client.call("effect", {"name": "x"}, idempotency_key="k") == {"count": 1}
        assert handlers.ran == ["x"]
    client.close()


@both_paths
def test_f11_a_reply_lost_in_a_one_way_link_is_found_within_the_deadline(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """Without a key, too: the caller notices the silence, asks for its record, and nothing runs twice."""
    client = make_client(through(link, config), most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=60)
        wait_until(lambda: handlers.ran == ["x"])
        link.down.hold()
        handlers.release.set()
        wait_until(lambda: (redis.get(redis.keys("rpc:call:*")[0]) or b"?")[:1] == b"=")
        link.reset()
        link.release()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert handlers.ran == ["x"]
    client.close()


def test_f17_racing_duplicates_have_one_effect_and_the_same_answer(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """Every message is there twice, put in by two writers at once, and two servers read them."""
    others = Handlers()
    requests = [dialect_b("effect", {"name": str(n)}) for n in range(60)]
    both = threading.Barrier(2)

    def write() -> None:
        both.wait(BOUND_SECONDS)
        for request in requests:
            send(redis, request)

    with serving(config, handlers), serving(config, others):
        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(BOUND_SECONDS)
        for request in requests:
            assert reply_to(redis, request)["result"] == reply_to(redis, request)["result"]
        wait_until(lambda: is_clean(redis))

    assert sorted(handlers.ran + others.ran, key=int) == [str(n) for n in range(60)]


@both_paths
def test_f18_replies_out_of_order_reach_their_own_callers(
    config: WebSocketRPCConfig, handlers: Handlers, link: Proxy, most_fused: int
) -> None:
    """Late, in small pieces and out of step, each call gets its own reply."""
    link.down.latency_seconds, link.down.jitter_seconds, link.down.slice_bytes = 0.005, 0.03, 50
    link.up.jitter_seconds = 0.01
    client = make_client(through(link, config), most_fused)
    with serving(config, handlers), ThreadPoolExecutor(20) as pool:
        sent = [{"n": n, "padding": "x" * (n % 7) * 40} for n in range(300)]

        assert list(pool.map(lambda params: client.call("echo", params, timeout=30), sent)) == sent
    client.close()


@both_paths
def test_f18_a_late_reply_is_nobodys(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    """The caller has given up: what comes later is not taken for the answer to its next call, and does not stay."""
    client = make_client(config.model_copy(update={"response_key_ttl": 1}), most_fused)
    short = config.model_copy(update={"response_key_ttl": 1})
    with serving(short, handlers) as running:
        redis.script_load("return 1")
        with pytest.raises(RPCTimeoutError):
            client.call("held", {"name": "late"}, timeout=0.3)
        handlers.release.set()
        wait_until(lambda: running.server.in_flight == 0)

        assert client.call("echo", {"name": "next"}) == {"name": "next"}
        wait_until(lambda: is_clean(redis))
    client.close()
