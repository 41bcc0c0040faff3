"""Servers as processes: they end in order, are killed, paused, and shared out over several."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from django_cfg.errors import RPCErrorCode, RPCRemoteError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.rpc.leaving import SAME_SECONDS
from tests.faults.interrupting import press_until_ended
from tests.redis.processes import process
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, ask, dialect_b, is_clean, wait_until


@pytest.fixture
def client(config: WebSocketRPCConfig) -> Iterator[WebSocketRPCClient]:
    client = WebSocketRPCClient(config)
    yield client
    client.close()


def test_f01_sigterm_finishes_what_runs_and_exits_with_0(
    config: WebSocketRPCConfig, redis: Any, client: WebSocketRPCClient, tmp_path: Path
) -> None:
    with process(tmp_path, config.redis_url, "rpc_server") as server, ThreadPoolExecutor(1) as pool:
        server.until_serving()
        pending = pool.submit(client.call, "work", {"name": "x", "seconds": 1.0})
        wait_until(lambda: server.runs() == ["x"])

        assert server.end() == 0, server.log
        assert pending.result(BOUND_SECONDS)["name"] == "x"
        assert is_clean(redis)
        assert redis.xinfo_consumers(STREAM, GROUP) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_control_c_gives_up_what_runs(
    config: WebSocketRPCConfig, client: WebSocketRPCClient, tmp_path: Path, processes: int
) -> None:
    with process(tmp_path, config.redis_url, "rpc_server", "--processes", str(processes)) as server:
        server.until_serving(processes)
        client.fire_and_forget("work", {"name": "x", "seconds": 60})
        wait_until(lambda: server.runs() == ["x"])

        assert press_until_ended(lambda: server.send(signal.SIGINT), server.status) >= SAME_SECONDS
        assert "a second CONTROL-C" in server.log


def test_a_thread_that_does_not_return_holds_no_server(
    config: WebSocketRPCConfig, client: WebSocketRPCClient, tmp_path: Path
) -> None:
    with process(tmp_path, config.redis_url, "rpc_server") as server:
        server.until_serving()
        client.call("leave_a_thread")

        assert server.end() == 0
        assert "a thread has not returned" in server.log


def test_f02_a_killed_server_is_noticed_and_its_caller_told(
    config: WebSocketRPCConfig, redis: Any, client: WebSocketRPCClient, tmp_path: Path
) -> None:
    """What may run again is run by the other server; what may not is reported as unknown. Each once."""
    with (
        process(tmp_path, config.redis_url, "rpc_server") as killed,
        ThreadPoolExecutor(4) as pool,
    ):
        killed.until_serving()
        plain = pool.submit(client.call, "work", {"name": "plain", "seconds": 60}, timeout=30)
        keyed = pool.submit(client.call, "work_again", {"name": "keyed", "seconds": 60}, timeout=30)
        wait_until(lambda: sorted(killed.runs()) == ["keyed", "plain"])
        with process(tmp_path, config.redis_url, "rpc_server") as other:
            other.until_serving()
            killed.end(signal.SIGKILL)

            with pytest.raises(RPCRemoteError, match="may have run") as caught:
                plain.result(BOUND_SECONDS)
            assert caught.value.error.code == RPCErrorCode.OUTCOME_UNKNOWN
            assert keyed.result(BOUND_SECONDS)["name"] == "keyed"
            assert sorted(other.runs()) == ["keyed", "keyed", "plain"]
            wait_until(lambda: is_clean(redis) and len(redis.xinfo_consumers(STREAM, GROUP)) == 1)


def test_f22_a_paused_server_does_not_answer_what_another_has_taken_over(
    config: WebSocketRPCConfig, redis: Any, tmp_path: Path
) -> None:
    client = WebSocketRPCClient(config)
    with (
        process(tmp_path, config.redis_url, "rpc_server") as paused,
        ThreadPoolExecutor(1) as pool,
    ):
        paused.until_serving()
        pending = pool.submit(client.call, "work", {"name": "x", "seconds": 1}, timeout=30)
        wait_until(lambda: paused.runs() == ["x"])
        paused.send(signal.SIGSTOP)
        with process(tmp_path, config.redis_url, "rpc_server") as other:
            other.until_serving()
            with pytest.raises(RPCRemoteError, match="may have run"):
                pending.result(BOUND_SECONDS)
            paused.send(signal.SIGCONT)
            wait_until(lambda: "were taken over" in paused.log)

            assert client.call("work", {"name": "y"})["name"] == "y"
            assert paused.end() == 0, paused.log
            assert is_clean(redis)
    client.close()


def test_an_entry_that_kills_its_servers_ends_among_the_dead_letters(
    config: WebSocketRPCConfig, redis: Any, client: WebSocketRPCClient, tmp_path: Path
) -> None:
    """The processes are replaced as they die; the entry looks as if it had cost four servers their lives already."""
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    entry_id = redis.xadd(STREAM, {"payload": '{"type":"rpc","method":"suicide","correlation_id":"c","timeout":0}'})
    redis.xreadgroup(GROUP, "rpc-server-gone-1", {STREAM: ">"})
    redis.xclaim(STREAM, GROUP, "rpc-server-gone-1", 0, [entry_id], retrycount=4)
    redis.zadd(f"rpc:servers:{STREAM}", {"rpc-server-gone-1": 1})
    with process(tmp_path, config.redis_url, "rpc_server", "--processes", "2") as servers:
        wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
        ((_, letter),) = redis.xrange(f"{STREAM}:dead")

        assert letter[b"entry_id"] == entry_id
        assert b"died" in letter[b"reason"]
        assert servers.runs() == ["suicide"]
        wait_until(lambda: client.health_check())
        assert servers.end() == 0, servers.log


def test_several_processes_share_the_calls(
    config: WebSocketRPCConfig, redis: Any, client: WebSocketRPCClient, tmp_path: Path
) -> None:
    with process(tmp_path, config.redis_url, "rpc_server", "--processes", "2", "--concurrency", "3") as servers:
        servers.until_serving(2)
        results = client.call_many([("work", {"name": str(n), "seconds": 0.02}) for n in range(40)])

        assert [result["name"] for result in results] == [str(n) for n in range(40)]
        assert len({result["pid"] for result in results}) == 2
        assert servers.end() == 0, servers.log
        assert is_clean(redis)


def test_processes_whose_parent_was_killed_end_too(config: WebSocketRPCConfig, redis: Any, tmp_path: Path) -> None:
    with process(tmp_path, config.redis_url, "rpc_server", "--processes", "2") as servers:
        servers.until_serving(2)
        servers.end(signal.SIGKILL)

        wait_until(lambda: redis.xinfo_consumers(STREAM, GROUP) == [])


def test_the_bridge_answers_requests_to_the_project(config: WebSocketRPCConfig, redis: Any, tmp_path: Path) -> None:
    with process(tmp_path, config.redis_url, "rpc_bridge") as bridge:
        bridge.until_serving()
        request = dialect_b("work", {"name": "from outside"})
        redis.xadd("stream:django:requests", {"payload": json.dumps(request)})
        popped = redis.blpop(request["reply_to"], BOUND_SECONDS)

        assert popped is not None
        assert b'"name":"from outside"' in popped[1]
        assert bridge.end() == 0, bridge.log


def test_rpc_call_prints_the_result_and_says_why_not(config: WebSocketRPCConfig, redis: Any, tmp_path: Path) -> None:
    with process(tmp_path, config.redis_url, "rpc_call", "work", "{}") as nobody:
        assert nobody.wait() == 1
        assert "service_unavailable: no server is alive" in nobody.log
    with process(tmp_path, config.redis_url, "rpc_server") as server:
        server.until_serving()
        with process(tmp_path, config.redis_url, "rpc_call", "work", '{"name": "x"}') as call:
            assert call.wait() == 0, call.log
            assert '"name": "x"' in call.log


def test_a_request_is_answered_the_moment_it_comes(config: WebSocketRPCConfig, redis: Any, tmp_path: Path) -> None:
    with process(tmp_path, config.redis_url, "rpc_server") as server:
        server.until_serving()
        started = time.monotonic()
        for n in range(20):
            assert ask(redis, dialect_b("echo", {"n": n}))["result"] == {"n": n}

        assert time.monotonic() - started < 10  # not once a slice
