"""F5 and F7: Redis is killed, and a replica takes its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from django_cfg.errors import RPCConnectionError, RPCError, RPCErrorCode
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.tests.websocket.redis_server import RedisServer, require_redis_server
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.faults.proxy import Proxy
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, wait_until

both_paths = pytest.mark.parametrize("most_fused", [0, 1000], ids=["shared", "fused"])
EVENTS = 20


class Pair:
    """A master and its replica; `front` is where everybody thinks Redis is, `between` how the replica follows."""

    def __init__(self, directory: Path) -> None:
        self.master = RedisServer(_made(directory / "master"), "--repl-diskless-sync-delay", "0")
        self.master.start()
        self.between = Proxy(self.master.port)
        follow = ("--replicaof", "127.0.0.1", str(self.between.port))
        self.replica = RedisServer(_made(directory / "replica"), *follow)
        self.replica.start()
        self.running = [self.master, self.replica]
        self.front = Proxy(self.master.port)
        with self.replica.client() as redis:
            wait_until(lambda: redis.info("replication")["master_link_status"] == "up")

    @property
    def config(self) -> WebSocketRPCConfig:
        return WebSocketRPCConfig(enabled=True, redis_url=f"redis://127.0.0.1:{self.front.port}/2")

    def replicated(self) -> None:
        """Returns when the replica has everything."""
        with self.master.client() as redis:
            assert redis.wait(1, int(BOUND_SECONDS * 1000)) == 1

    def fail_over(self) -> None:
        self.master.kill()
        self.running.remove(self.master)
        with self.replica.client() as redis:
            redis.replicaof("NO", "ONE")
        self.front.target_port = self.replica.port
        self.front.reset()

    def close(self) -> None:
        self.front.close()
        for server in self.running:
            server.kill()
        self.between.close()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    require_redis_server()
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def make_client(config: WebSocketRPCConfig, most_fused: int) -> WebSocketRPCClient:
    return WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))


def answers(client: WebSocketRPCClient) -> bool:
    try:
        return bool(client.call("echo", {"n": 1}, timeout=2) == {"n": 1})
    except RPCError:
        return False


@both_paths
def test_f05_a_killed_redis_that_kept_every_write_loses_no_call(
    own_redis: RedisServer, handlers: Handlers, most_fused: int
) -> None:
    """With `appendfsync always`: what was accepted is answered after the restart, once."""
    config = WebSocketRPCConfig(enabled=True, redis_url=own_redis.url)
    client = make_client(config, most_fused)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"})
        wait_until(lambda: handlers.ran == ["x"])
        own_redis.kill()
        handlers.release.set()
        own_redis.start()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert handlers.ran == ["x"]
        # The caller may have found the answer in the record; then the reply itself lies there until it expires.
        with own_redis.client() as redis:
            wait_until(lambda: redis.xlen(STREAM) == 0 and redis.xpending(STREAM, GROUP)["pending"] == 0)
    client.close()


@both_paths
def test_f07_a_promoted_replica_that_has_everything_loses_no_call(
    pair: Pair, handlers: Handlers, most_fused: int
) -> None:
    """The request was replicated before the master died: its caller gets the answer from the new one."""
    client = make_client(pair.config, most_fused)
    with serving(pair.config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=60)
        wait_until(lambda: handlers.ran == ["x"])
        pair.replicated()
        pair.fail_over()
        handlers.release.set()

        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        assert handlers.ran == ["x"]
        wait_until(lambda: answers(client))
    client.close()


@both_paths
def test_f07_what_was_not_replicated_is_lost_and_said_to_be_unknown(
    pair: Pair, handlers: Handlers, most_fused: int, record_property: Any
) -> None:
    """Callers learn at once that they cannot know; a keyed call is sent again. Events are lost: they are counted."""
    client = make_client(pair.config, most_fused)
    with serving(pair.config, handlers, concurrency=2), ThreadPoolExecutor(3) as pool:
        client.call("echo")
        pair.replicated()
        pair.between.hold()
        plain = pool.submit(client.call, "held", {"name": "plain"}, timeout=60)
        wait_until(lambda: handlers.ran == ["plain"])
        keyed = pool.submit(client.call, "held", {"name": "keyed"}, timeout=60, idempotency_key="k")
        wait_until(lambda: handlers.ran == ["plain", "keyed"])
        accepted = [client.fire_and_forget("effect", {"name": str(n)}) for n in range(EVENTS)]
        pair.fail_over()
        with pytest.raises(RPCConnectionError, match="may have run") as caught:
            plain.result(BOUND_SECONDS)
        assert caught.value.code == RPCErrorCode.OUTCOME_UNKNOWN
        handlers.release.set()

        assert keyed.result(BOUND_SECONDS) == {"name": "keyed"}
        wait_until(lambda: answers(client))
        lost = len(accepted) - sum(name.isdigit() for name in handlers.ran)
        record_property("accepted and not replicated, lost", lost)
        assert lost == EVENTS
    client.close()


@both_paths
def test_f07_an_entry_that_a_failover_brings_back_does_not_run_again(
    pair: Pair, handlers: Handlers, most_fused: int
) -> None:
    """The replica knows of the request and not of its end: the call is over, its caller has the result."""
    client = make_client(pair.config, most_fused)
    with serving(pair.config, handlers) as running, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "held", {"name": "x"}, timeout=60)
        wait_until(lambda: handlers.ran == ["x"])
        pair.replicated()
        pair.between.hold()
        handlers.release.set()
        assert pending.result(BOUND_SECONDS) == {"name": "x"}
        wait_until(lambda: running.server.in_flight == 0)
        pair.fail_over()

        wait_until(lambda: running.server.counts["recovered_unknown"] == 1)
        with pair.replica.client() as redis:
            wait_until(lambda: redis.xlen("stream:requests") == 0)
        assert handlers.ran == ["x"]
    client.close()


def test_f07_a_master_that_must_have_replicas_refuses_what_it_could_lose(pair: Pair, handlers: Handlers) -> None:
    """`min-replicas-to-write`: the caller is told at once, nothing has run, and nothing is lost."""
    client = WebSocketRPCClient(pair.config)
    with serving(pair.config, handlers), pair.master.client() as redis:
        client.call("echo")
        redis.config_set("min-replicas-max-lag", "1")
        redis.config_set("min-replicas-to-write", "1")
        pair.between.hold()
        wait_until(lambda: redis.info("replication")["min_slaves_good_slaves"] == 0)
        with pytest.raises(RPCConnectionError, match="NOREPLICAS") as caught:
            client.call("effect", {"name": "x"}, timeout=60)
        assert caught.value.code == RPCErrorCode.REDIS_ERROR
        pair.between.release()

        wait_until(lambda: answers(client))
        assert handlers.ran == []
    client.close()


@both_paths
def test_f07_a_demoted_master_is_left_for_the_one_that_has_taken_its_address(
    pair: Pair, handlers: Handlers, most_fused: int
) -> None:
    """It lives on, read-only, and breaks no connection: callers and servers must leave it of their own accord."""
    client = make_client(pair.config, most_fused)
    with serving(pair.config, handlers), pair.master.client() as old, pair.replica.client() as new:
        client.call("echo")
        pair.replicated()
        new.replicaof("NO", "ONE")
        pair.front.target_port = pair.replica.port
        old.replicaof("127.0.0.1", pair.replica.port)
        started = time.monotonic()

        wait_until(lambda: answers(client))
        assert time.monotonic() - started < BOUND_SECONDS
        assert new.exists("rpc:servers:stream:requests")
    client.close()
