"""Redis restarts, is emptied and falls silent; callers fork."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from django_cfg.errors import RPCConnectionError, RPCError, RPCErrorCode, RPCTimeoutError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.demux import SharedPath
from django_cfg.modules.django_rpc.outgoing import prepare
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.modules.django_rpc.slots import sync_slots
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, is_clean, wait_until

both_paths = pytest.mark.parametrize("most_fused", [0, 1000], ids=["shared", "fused"])


def config_of(server: RedisServer) -> WebSocketRPCConfig:
    return WebSocketRPCConfig(enabled=True, redis_url=server.url, rpc_timeout=30)


def make_client(config: WebSocketRPCConfig, most_fused: int) -> WebSocketRPCClient:
    return WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))


@both_paths
def test_f05_a_call_survives_a_restart_that_keeps_the_data(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"])
        own_redis.restart()
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert handlers.ran == ["x"]
        assert client.call("echo", {"n": 1}) == {"n": 1}
    client.close()


@both_paths
def test_f06_a_restart_that_loses_the_data_fails_what_is_pending_at_once(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=300)
        wait_until(lambda: handlers.ran == ["x"])
        empty(own_redis)

        with pytest.raises(RPCConnectionError, match="may have run") as caught:
            pending.result(BOUND_SECONDS)
        assert caught.value.code == RPCErrorCode.OUTCOME_UNKNOWN
        assert not caught.value.retryable
        handlers.release.set()
        wait_until(lambda: client.health_check())
    client.close()


@both_paths
def test_f06_a_request_that_a_restart_finds_deleted_fails_at_once(own_redis: RedisServer, most_fused: int) -> None:
    """Its record has survived and says that it waits, which nothing ever ends."""
    client = make_client(config_of(own_redis), most_fused)
    with own_redis.client() as redis, ThreadPoolExecutor(1) as pool:
        redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=300)
        wait_until(lambda: redis.xlen(STREAM) == 1 and blocked_callers(redis) == 1)
        redis.xtrim(STREAM, maxlen=0)
        own_redis.restart()

        with pytest.raises(RPCConnectionError, match="may have run") as caught:
            pending.result(BOUND_SECONDS)
        assert caught.value.code == RPCErrorCode.OUTCOME_UNKNOWN
        wait_until(lambda: len(redis.keys("rpc:call:*")) == 1)
    client.close()


def empty(server: RedisServer) -> None:
    """Restarted as another one would be."""
    with server.client() as redis:
        redis.flushall()
    server.kill()
    server.start()


@both_paths
def test_idle_connections_of_before_a_restart_cost_no_call(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers) as running:
        client.call("echo")
        before = running.server.counts["started"]
        own_redis.restart()
        wait_until(lambda: answers(client))

        assert client.call("effect", {"name": "x"}) == {"count": 1}
        assert running.server.counts["started"] > before
    client.close()


def answers(client: WebSocketRPCClient) -> bool:
    """Whether a call gets through; while Redis starts it may fail, but not hang."""
    try:
        client.call("echo", timeout=5)
    except RPCError:
        return False
    return True


@contextmanager
def silent(server: RedisServer) -> Generator[None]:
    """Paused: connections stay, and nothing is answered."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


@both_paths
def test_redis_that_cannot_be_reached_is_said_at_once(own_redis: RedisServer, most_fused: int) -> None:
    client = make_client(config_of(own_redis), most_fused)
    own_redis.stop()

    with pytest.raises(RPCConnectionError, match="cannot be reached") as caught:
        client.call("echo", timeout=300)

    assert caught.value.code == RPCErrorCode.CONNECTION_ERROR
    assert caught.value.retryable
    client.close()
    own_redis.start()


@both_paths
def test_redis_that_has_gone_since_the_last_call_is_said_at_once(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    """Not at the deadline, and of no call that it may have run."""
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers):
        client.call("echo")
        client.fire_and_forget("echo")
        own_redis.stop()
        attempts: list[Callable[[], Any]] = [
            lambda: client.call("echo", timeout=300),
            lambda: client.fire_and_forget("echo"),
            lambda: client.broadcast("notifications:broadcast", {"n": 1}),
        ]
        with ThreadPoolExecutor(1) as pool:
            for attempt in attempts:
                with pytest.raises(RPCConnectionError, match="cannot be reached") as caught:
                    pool.submit(attempt).result(BOUND_SECONDS)
                assert caught.value.code == RPCErrorCode.CONNECTION_ERROR
            outcomes = pool.submit(client.call_many, [("echo",)] * 40, 300).result(BOUND_SECONDS)
            assert {outcome.code for outcome in outcomes} == {RPCErrorCode.CONNECTION_ERROR}
        own_redis.start()
        wait_until(lambda: answers(client))
    client.close()


def test_f09_many_callers_of_a_silent_redis_all_learn_at_their_deadline(
    own_redis: RedisServer, handlers: Handlers
) -> None:
    """Each asks why no reply came; those who have been told that Redis is silent do not make the others wait."""
    config = config_of(own_redis)
    client = make_client(config, 8)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        client.call("echo")
        with silent(own_redis):
            outcomes = pool.submit(client.call_many, [("echo",)] * 100, 1).result(BOUND_SECONDS)
        assert {outcome.details["state"] for outcome in outcomes} == {"unreachable"}
        wait_until(lambda: answers(client))
    client.close()


@both_paths
def test_f09_a_redis_that_falls_silent_ends_in_a_timeout(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers):
        client.call("echo")
        with silent(own_redis), pytest.raises(RPCTimeoutError):
            client.call("echo", timeout=1)
        wait_until(lambda: answers(client))
    client.close()


def test_f09_a_request_whose_caller_has_given_up_is_not_sent_any_more(
    own_redis: RedisServer, handlers: Handlers
) -> None:
    """The second one stands behind the first, for whose answer from a silent Redis the writer waits."""
    config = config_of(own_redis)
    client = make_client(config, 0)
    with serving(config, handlers), ThreadPoolExecutor(2) as pool:
        client.call("echo")
        with silent(own_redis):
            first = pool.submit(client.call, "effect", {"name": "first"}, timeout=2)
            time.sleep(0.2)  # for it to be written
            with pytest.raises(RPCTimeoutError):
                pool.submit(client.call, "effect", {"name": "second"}, timeout=0.5).result(BOUND_SECONDS)
        assert first.result(BOUND_SECONDS)
        wait_until(lambda: answers(client))
    client.close()
    assert handlers.ran == ["first"]


@both_paths
def test_f23_redis_out_of_memory_is_said_at_once(own_redis: RedisServer, handlers: Handlers, most_fused: int) -> None:
    config = config_of(own_redis)
    client = make_client(config, most_fused)
    with serving(config, handlers), own_redis.client() as redis:
        redis.config_set("maxmemory", "1")
        with pytest.raises(RPCConnectionError, match="maxmemory") as caught:
            client.call("echo", timeout=300)
        assert caught.value.code == RPCErrorCode.REDIS_ERROR
        redis.config_set("maxmemory", "0")
        wait_until(lambda: answers(client))
        wait_until(lambda: is_clean(redis))
    client.close()


@both_paths
def test_a_forgotten_script_is_sent_again(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = make_client(config, most_fused)
    with serving(config, handlers):
        client.call("echo")
        redis.script_flush()

        assert client.call("echo", {"n": 1}) == {"n": 1}
    client.close()


@both_paths
def test_f06_flushall_under_load_loses_no_server(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = make_client(config, most_fused)
    ended = threading.Event()
    outcomes: list[bool] = []

    def load() -> None:
        while not ended.is_set():
            try:
                outcomes.append(client.call("echo", {"n": 1}, timeout=2) == {"n": 1})
            except RPCError:
                outcomes.append(True)  # an honest failure

    with serving(config, handlers):
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.2)  # of load between the floods
            redis.flushall()
        ended.set()
        for thread in threads:
            thread.join(BOUND_SECONDS)

        assert all(outcomes)
        wait_until(lambda: answers(client))
        assert client.call("echo", {"n": 2}) == {"n": 2}
    client.close()


@both_paths
def test_a_lost_reply_is_found_in_the_record(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    """The link breaks at the moment of the reply: here, before it, and the reply list is emptied."""
    client = make_client(config, most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"] and redis.client_list(_type="normal"))
        stolen = steal(redis, handlers)

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert stolen
    client.close()


def test_replies_that_nobody_can_read_end_no_caller(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    """One thread reads the replies of all callers: nothing that a server writes may end it."""
    client = make_client(config, 0)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"])
        ((_, fields),) = redis.xrange(STREAM)
        reply_list = json.loads(fields[b"payload"])["reply_to"]
        failed = b'{"correlation_id":"x","success":false,"error":"e","error_data":{"details":%b}}'
        for message in (failed % b'"\xff"', failed % (b"[" * 5000 + b"]" * 5000), b"\xff", b"[" * 100_000, b"5"):
            redis.lpush(reply_list, message)
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert client.call("echo", {"n": 1}) == {"n": 1}
    client.close()


def steal(redis: Any, handlers: Handlers) -> bool:
    """Take the reply before its caller can: whoever waited first in Redis is served first."""
    wait_until(lambda: blocked_callers(redis) == 1)
    key = f"{redis.keys('rpc:call:*')[0].decode()}".removeprefix("rpc:call:")
    redis.client_pause(500, all=False)  # writes wait: the reply, too
    handlers.release.set()
    for client in redis.client_list():
        if client["cmd"] in ("blpop", "blmpop"):
            redis.client_kill_filter(_id=client["id"])
    redis.client_unpause()
    wait_until(lambda: redis.get(f"rpc:call:{key}")[:1] == b"=")
    return True


def blocked_callers(redis: Any) -> int:
    return sum(client["cmd"] in ("blpop", "blmpop") for client in redis.client_list())


@both_paths
def test_a_forked_child_calls_for_itself(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = make_client(config, most_fused)
    with serving(config, handlers):
        client.call("echo")
        results = [in_child(lambda: client.call("echo", {"n": 5}, timeout=5) == {"n": 5}) for _ in range(2)]

        assert results == [0, 0]
        assert client.call("echo", {"n": 6}) == {"n": 6}
    client.close()


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def in_child(work: Callable[[], bool]) -> int:
    """The exit status of a forked child: 0 when `work` was true there."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    done: Future[int] = Future()
    threading.Thread(target=lambda: done.set_result(os.waitpid(pid, 0)[1]), daemon=True).start()
    return done.result(BOUND_SECONDS)


@both_paths
def test_a_timeout_says_what_it_knows(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    client = make_client(config, most_fused)
    with serving(config, handlers, concurrency=1), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "y"})
        wait_until(lambda: "y" in handlers.ran)
        client.fire_and_forget("effect")
        with pytest.raises(RPCTimeoutError, match="queued behind 1 requests") as caught:
            client.call("echo", timeout=0.3)
        assert caught.value.details == {"state": "queued"}
        handlers.release.set()
        assert pending.result(BOUND_SECONDS) == {"name": "y"}
    client.close()


@both_paths
def test_a_timeout_knows_who_has_the_request_and_that_nobody_has_it(
    config: WebSocketRPCConfig, redis: Any, most_fused: int
) -> None:
    client = make_client(config, most_fused)
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "echo", timeout=0.5)
        assert redis.xreadgroup(GROUP, "ws_server_1", {STREAM: ">"}, block=5000)
        with pytest.raises(RPCTimeoutError, match=r"running for 0\.\d s on ws_server_1") as caught:
            pending.result(BOUND_SECONDS)
        assert caught.value.details == {"state": "running"}
    with pytest.raises(RPCTimeoutError, match="no server is alive; 0 requests wait before it") as caught:
        client.call("echo", timeout=0.3)
    assert caught.value.details == {"state": "no_server"}
    assert redis.xlen(STREAM) == 0  # both were withdrawn
    client.close()


def test_links_that_break_are_not_used_up(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    """redis-py's pool counts every connection that it ever made, and refuses the 101st."""
    client = make_client(config, 1000)
    with serving(config, handlers):
        for n in range(120):
            redis.client_kill_filter(_type="normal", skipme=True) if n % 2 else None
            wait_until(lambda: answers(client))
    client.close()


def test_a_call_that_meets_the_end_of_its_client_is_told(config: WebSocketRPCConfig) -> None:
    """One thread closes what another has just looked up."""
    path = SharedPath(config, Keys(STREAM, GROUP, config.response_key_prefix))
    path.close()
    (slot,), wait = sync_slots([prepare("echo", b"{}", 60.0)])

    path.submit([slot])
    wait(BOUND_SECONDS)

    assert isinstance(slot.outcome, RPCConnectionError)
    assert slot.outcome.code == RPCErrorCode.OUTCOME_UNKNOWN


def test_neither_side_has_more_connections_than_it_may(
    redis: Any, config: WebSocketRPCConfig, handlers: Handlers
) -> None:
    few = config.model_copy(update={"redis_max_connections": 5})
    client = WebSocketRPCClient(few.model_copy(update={"module_name": "client"}))
    counts: list[int] = []

    def count() -> None:
        names = [found["name"].partition(":")[0] for found in redis.client_list()]
        counts.extend((names.count("client"), names.count("server")))

    with serving(few.model_copy(update={"module_name": "server"}), handlers), ThreadPoolExecutor(20) as pool:
        pending = [pool.submit(client.call, "held", {"name": "x"}) for _ in range(10)]
        pending += [pool.submit(client.fire_and_forget, "echo") for _ in range(10)]
        wait_until(lambda: len(handlers.ran) == 10)
        count()
        handlers.release.set()
        for one in pending:
            one.result(BOUND_SECONDS)
        count()

    assert min(counts) > 0
    assert max(counts) <= 5
    client.close()


def test_switching_between_the_paths_strands_no_call(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    client = make_client(config, 3)
    with serving(config, handlers), ThreadPoolExecutor(12) as pool:
        for count in (2, 12, 1, 8, 3):
            sent = [{"n": n} for n in range(count * 10)]
            assert list(pool.map(lambda params: client.call("echo", params), sent)) == sent
        assert redis.xpending(STREAM, GROUP)["pending"] == 0
    client.close()


@both_paths
def test_a_timeout_knows_that_the_server_has_died(config: WebSocketRPCConfig, redis: Any, most_fused: int) -> None:
    """No other server is there that would have taken over."""
    client = make_client(config, most_fused)
    servers, alive = f"rpc:servers:{STREAM}", (time.time() + 60) * 1000
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    redis.zadd(servers, {"rpc-x": alive})
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "echo", timeout=0.5)
        assert redis.xreadgroup(GROUP, "rpc-x", {STREAM: ">"}, block=5000)
        redis.zadd(servers, {"rpc-x": (time.time() - 1) * 1000})
        with pytest.raises(RPCTimeoutError, match="rpc-x, which ran it, has fallen silent; it may have run") as caught:
            pending.result(BOUND_SECONDS)
        assert caught.value.details == {"state": "server_lost"}
    client.close()
