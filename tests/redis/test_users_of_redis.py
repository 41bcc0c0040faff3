"""Client and server as users of Redis who may do no more than the page for operators says."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from django_cfg.errors import RPCConnectionError, RPCTimeoutError
from django_cfg.models.websocket import BroadcastRequest
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.redis.processes import process
from tests.redis.wire import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "redis-operations.md"


def documented(user: str) -> str:
    found = re.search(rf"^(user {user} .+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def guarded(own_redis: RedisServer) -> Iterator[RedisServer]:
    """Unknown commands of one user are found in ACL LOG, which the test looks at in the end."""
    with own_redis.client() as redis:
        for user in ("rpc-client", "rpc-server"):
            redis.execute_command("ACL", "SETUSER", *documented(user).split()[1:])
        redis.acl_log_reset()
        yield own_redis
        assert redis.acl_log() == []


def config_of(server: RedisServer, user: str) -> WebSocketRPCConfig:
    password = "client-password" if user == "rpc-client" else "server-password"
    return WebSocketRPCConfig(redis_url=f"redis://{user}:{password}@127.0.0.1:{server.port}/2", rpc_timeout=10)


def test_both_roles_get_by_with_their_rights(guarded: RedisServer, handlers: Handlers) -> None:
    client = WebSocketRPCClient(config_of(guarded, "rpc-client"))
    with serving(config_of(guarded, "rpc-server"), handlers) as running:
        assert client.call("echo", {"n": 1}) == {"n": 1}
        assert client.call_many([("echo", {"n": n}) for n in range(5)])[4] == {"n": 4}
        assert client.call("effect", idempotency_key="k") == client.call("effect", idempotency_key="k")
        client.fire_and_forget("boom")
        client.broadcast("notifications:broadcast", BroadcastRequest(target="all", event_type="e", payload={}))
        with pytest.raises(RPCTimeoutError):  # looks for the reason, and withdraws
            client.call("held", {"name": "x"}, timeout=0.3)
        wait_until(lambda: running.server.counts["dead"] == 1)
        handlers.release.set()
    client.close()


def test_a_server_process_takes_over_from_a_dead_one(guarded: RedisServer, tmp_path: Path) -> None:
    client = WebSocketRPCClient(config_of(guarded, "rpc-client"))
    url = config_of(guarded, "rpc-server").redis_url
    with process(tmp_path, url, "rpc_server") as killed, ThreadPoolExecutor(1) as pool:
        killed.until_serving()
        pending = pool.submit(client.call, "work_again", {"name": "x", "seconds": 60}, timeout=30)
        wait_until(lambda: killed.runs() == ["x"])
        killed.send(signal.SIGKILL)
        with process(tmp_path, url, "rpc_server", "--health-addr", "127.0.0.1:0") as other:
            other.until_serving()
            assert pending.result(30)["name"] == "x"
            assert other.end() == 0, other.log
            assert "forbidden" not in other.log.lower()
    client.close()


def test_a_client_may_not_do_a_servers_work(own_redis: RedisServer, handlers: Handlers) -> None:
    with own_redis.client() as redis:
        redis.execute_command("ACL", "SETUSER", *documented("rpc-client").split()[1:])
    config = config_of(own_redis, "rpc-client")
    from django_cfg.modules.django_rpc.connecting import FAILURES, Redis

    pool = Redis(config, 1)
    for command in (
        ("XREADGROUP", "GROUP", "rpc_group", "me", "STREAMS", "stream:requests", ">"),
        ("XGROUP", "CREATE", "stream:requests", "rpc_group", "0", "MKSTREAM"),
        ("LPUSH", "celery", "x"),
        ("GET", "elsewhere"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "requirepass"),
    ):
        with pytest.raises(FAILURES, match=r"(?i)permissions"):
            pool.run(*command)
    pool.close()


def test_missing_rights_are_said_at_once(own_redis: RedisServer) -> None:
    with own_redis.client() as redis:
        redis.execute_command("ACL", "SETUSER", "rpc-client", "on", ">client-password", "+info", "+client|setname")
    client = WebSocketRPCClient(config_of(own_redis, "rpc-client"))

    with pytest.raises(RPCConnectionError, match=r"(?i)permissions"):
        client.call("echo")
    client.close()


@pytest.mark.parametrize("at_once", [1, 24])
def test_who_may_not_wait_for_replies_learns_it_at_once(
    own_redis: RedisServer, handlers: Handlers, at_once: int
) -> None:
    """On either path; the request itself may have run."""
    with own_redis.client() as redis:
        rights = documented("rpc-client").split()[1:]
        redis.execute_command("ACL", "SETUSER", *(right for right in rights if right not in ("+blpop", "+blmpop")))
    client = WebSocketRPCClient(config_of(own_redis, "rpc-client"))

    def call(number: int) -> RPCConnectionError:
        with pytest.raises(RPCConnectionError, match="Redis lets nobody wait for its reply here") as caught:
            client.call("echo", {"n": number}, timeout=60)
        return caught.value

    with (
        serving(WebSocketRPCConfig(enabled=True, redis_url=own_redis.url), handlers),
        ThreadPoolExecutor(at_once) as pool,
    ):
        errors = list(pool.map(call, range(at_once), timeout=20))
    assert {error.code for error in errors} == {"outcome_unknown"}
    client.close()
