"""A master, its replica and a Sentinel: after a failover client and server go on with the new master."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from django_cfg.errors import RPCConnectionError, RPCError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import FAILURES, Redis
from django_cfg.modules.django_rpc.direct import DirectRedis
from django_cfg.tests.websocket.redis_server import RedisServer, require_redis_server, server_program
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.redis.wire import wait_until

FAILOVER_SECONDS = 30.0


@dataclass
class Watched:
    """`url` names the Sentinel and an address where none listens."""

    master: RedisServer
    replica: RedisServer
    url: str
    sentinel: Any


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    require_redis_server()
    with ExitStack() as stack:
        master, replica = (stack.enter_context(_running(tmp_path / name)) for name in ("master", "replica"))
        with replica.client() as client:
            client.replicaof("127.0.0.1", master.port)
        port = RedisServer(tmp_path).port
        stack.enter_context(_sentinel(tmp_path / "sentinel.conf", port, master.port))
        asked = stack.enter_context(redis.Redis(port=port))
        url = f"sentinel://127.0.0.1:1,127.0.0.1:{port}/real-time/2"
        found = Watched(master, replica, url, asked)
        wait_until(lambda: _knows_the_replica(found))
        yield found


@contextmanager
def _running(directory: Path) -> Iterator[RedisServer]:
    directory.mkdir()
    server = RedisServer(directory, "--repl-diskless-sync-delay", "0")
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.kill()


@contextmanager
def _sentinel(file: Path, port: int, master_port: int) -> Iterator[None]:
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {file.parent}\n"
        f"sentinel monitor real-time 127.0.0.1 {master_port} 1\n"
        "sentinel down-after-milliseconds real-time 500\n"
        "sentinel failover-timeout real-time 3000\n"
    )
    command = [server_program(), str(file), "--sentinel"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _knows_the_replica(watched: Watched) -> bool:
    try:
        replicas = watched.sentinel.execute_command("SENTINEL", "REPLICAS", "real-time")
    except redis.RedisError:
        return False
    with watched.replica.client() as replica:
        return bool(replicas) and replica.info("replication")["master_link_status"] == "up"


def _until_failed_over(watched: Watched) -> None:
    def promoted() -> bool:
        with watched.replica.client() as replica:
            return bool(replica.info("replication")["role"] == "master")

    deadline = time.monotonic() + FAILOVER_SECONDS
    while not promoted():
        assert time.monotonic() < deadline, "Sentinel did not promote the replica"
        time.sleep(0.05)


def _answered_at_last(client: WebSocketRPCClient, calls: int) -> bool:
    """Connections of before the failover may cost a call each."""
    results = client.call_many([("typed", {"message": "after"})] * calls, timeout=2)
    return not any(isinstance(result, RPCError) for result in [*results, _called(client)])


def _called(client: WebSocketRPCClient) -> Any:
    try:
        return client.call("typed", {"message": "after"}, timeout=2)
    except RPCError as error:
        return error


def test_calls_go_on_with_the_new_master(watched: Watched, handlers: Handlers) -> None:
    config = WebSocketRPCConfig(enabled=True, redis_url=watched.url, rpc_timeout=5)
    client = WebSocketRPCClient(config)
    with serving(config, handlers):
        assert client.call("typed", {"message": "before"})["message"] == "before"
        assert client.call_many([("typed", {"message": "many"})])[0]["message"] == "many"

        watched.master.kill()
        _until_failed_over(watched)

        wait_until(lambda: _answered_at_last(client, 3))
    client.close()


def test_a_connection_to_a_demoted_master_is_left(watched: Watched) -> None:
    """The address in the pool is that of a replica now, though it answers still."""
    pool = Redis(WebSocketRPCConfig(redis_url=f"redis://127.0.0.1:{watched.master.port}/2"), 1)
    pool.run("SET", "key", "value")
    before = pool.run("CLIENT", "ID")
    with watched.master.client() as master:
        master.replicaof("127.0.0.1", watched.replica.port)

    with pytest.raises(FAILURES, match=r"(?i)read.?only"):
        pool.run("SET", "key", "value")

    assert pool.run("CLIENT", "ID") != before
    pool.close()


async def test_a_servers_own_connection_to_a_demoted_master_is_left(watched: Watched) -> None:
    direct = DirectRedis(WebSocketRPCConfig(redis_url=f"redis://127.0.0.1:{watched.master.port}/2"))
    before = await direct.run("CLIENT", "ID")
    with watched.master.client() as master:
        master.replicaof("127.0.0.1", watched.replica.port)

    with pytest.raises(FAILURES, match=r"(?i)read.?only"):
        await direct.run("SET", "key", "value")

    assert await direct.run("CLIENT", "ID") != before
    direct.close()


def test_a_replica_is_never_taken_for_the_master(watched: Watched) -> None:
    """A Sentinel that has not heard of the failover names a server that is a replica now."""
    config = WebSocketRPCConfig(redis_url=watched.url)
    with watched.master.client() as master:
        watched.sentinel.execute_command("SENTINEL", "REMOVE", "real-time")
        watched.sentinel.execute_command("SENTINEL", "MONITOR", "real-time", "127.0.0.1", watched.master.port, 1)
        master.replicaof("127.0.0.1", watched.replica.port)
    client = WebSocketRPCClient(config)

    with pytest.raises(RPCConnectionError, match="named is a slave"):
        client.call("echo", timeout=1)
    client.close()


def test_an_unknown_service_is_named(watched: Watched) -> None:
    client = WebSocketRPCClient(WebSocketRPCConfig(redis_url=watched.url.replace("real-time", "elsewhere")))

    with pytest.raises(RPCConnectionError, match="watches no 'elsewhere'"):
        client.call("echo", timeout=1)
    client.close()
