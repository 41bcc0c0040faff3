"""Metrics, traces, logs and probes of client and server over a real Redis."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import signal
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

import django_cfg
from django_cfg.errors import NoResponders, RPCError, RPCTimeoutError
from django_cfg.modules.django_rpc import server as server_module
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.modules.django_rpc.server_metrics import TrailingSum
from django_cfg.rpc.tests.spans import recorded_spans
from django_cfg.tests.websocket.redis_server import RedisServer
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.redis.processes import process
from tests.redis.wire import BOUND_SECONDS, STREAM, ask, dialect_b, is_clean, send, wait_until

PACKAGE = Path(django_cfg.__file__).parent


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"django_cfg_rpc_{name}", labels) or 0.0


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def free_ports(count: int) -> int:
    """The first of some in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


def test_what_a_server_counts(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    def fate(name: str) -> float:
        return value("redis_entries_total", stream=STREAM, fate=name)

    before = {name: fate(name) for name in ("started", "expired", "malformed", "dead")}
    waited = value("redis_queue_seconds_count", stream=STREAM)
    batched = value("redis_reply_batch_sum", stream=STREAM)
    seconds, _ = redis.time()
    redis.xadd(STREAM, {"payload": json.dumps(dialect_b("effect", {}, timeout=1))}, id=f"{(seconds - 5) * 1000}-1")
    send(redis, "{no json")
    with serving(config, handlers):
        ask(redis, dialect_b("typed", {"message": "x"}))
        send(redis, dialect_b("boom", {}, timeout=0))
        send(redis, dialect_b("held", {}))
        wait_until(lambda: fate("dead") == before["dead"] + 1)

        # Gauges are told at each heartbeat, the first of which may come before the second letter is in Redis.
        wait_until(lambda: value("redis_dead_letters", stream=STREAM) == 2)
        wait_until(lambda: value("redis_in_flight", stream=STREAM) == value("redis_backlog", stream=STREAM) == 1)
        assert value("redis_backlog_limit", stream=STREAM) == config.stream_maxlen
        assert fate("started") == before["started"] + 3
        assert fate("expired") == before["expired"] + 1
        assert fate("malformed") == before["malformed"] + 1
        assert value("redis_queue_seconds_count", stream=STREAM) == waited + 3
        assert value("redis_reply_batch_sum", stream=STREAM) == batched + 4
        assert value("redis_reply_bytes_bound", stream=STREAM) > 50
        assert value("redis_record_bytes_bound", stream=STREAM) > 50


def test_what_a_client_counts(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    def calls(method: str, code: str) -> float:
        return value("client_calls_total", method=method, code=code)

    before = calls("unknown", "method_not_found")
    ok, sent, no_server = (calls("again", code) for code in ("ok", "sent", "no_server"))
    durations = value("client_call_duration_seconds_count", method="again")
    fused, shared = (value("client_path_total", path=path) for path in ("fused", "shared"))
    client = WebSocketRPCClient(config)
    with serving(config, handlers):
        client.call("again", {})
        client.call_many([("again", {}), ("again", {})])
        asyncio.run(client.acall("again", {}))
        client.fire_and_forget("again", {})
        for method in ("made.up", "boom"):
            with pytest.raises(RPCError):
                client.call(method)
    with pytest.raises(NoResponders):
        client.call("again", {})
    client.close()

    assert calls("again", "ok") == ok + 4
    assert calls("again", "sent") == sent + 1
    assert calls("again", "no_server") == no_server + 1
    assert calls("boom", "application_error") >= 1
    assert calls("unknown", "method_not_found") == before + 1
    assert value("client_call_duration_seconds_count", method="again") == durations + 6
    assert value("client_path_total", path="fused") == fused + 6
    assert value("client_path_total", path="shared") == shared + 1


def test_replies_to_nobody_are_counted_and_dropped(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    before = value("client_unknown_replies_total")
    client = WebSocketRPCClient(config)
    with serving(config, handlers), ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call_many, [("held", {"name": "x"})])
        wait_until(lambda: handlers.ran == ["x"])
        ((_, fields),) = redis.xrange(STREAM)
        reply_list = json.loads(fields[b"payload"])["reply_to"]

        redis.lpush(reply_list, '{"correlation_id":"of nobody","success":true,"result":1}', "no reply at all")

        wait_until(lambda: value("client_unknown_replies_total") == before + 2)
        handlers.release.set()
        assert pending.result(BOUND_SECONDS) == [{"name": "x"}]
    client.close()


@pytest.mark.parametrize("most_fused", [0, 1000], ids=["shared", "fused"])
def test_f18_a_late_reply_is_counted_and_dropped(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers, most_fused: int
) -> None:
    before = value("client_unknown_replies_total")
    client = WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))
    with serving(config, handlers):
        with pytest.raises(RPCTimeoutError):
            client.call("held", {"name": "late"}, timeout=0.3)
        handlers.release.set()

        wait_until(lambda: client.health_check() and value("client_unknown_replies_total") == before + 1)
        wait_until(lambda: is_clean(redis))
    client.close()


def test_f18_late_replies_to_many_calls_are_counted_and_dropped(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """They lie in one list."""
    before = value("client_unknown_replies_total")
    client = WebSocketRPCClient(config)
    with serving(config, handlers):
        late = client.call_many([("held", {"name": str(n)}) for n in range(3)], timeout=0.3)
        handlers.release.set()

        assert {type(outcome) for outcome in late} == {RPCTimeoutError}
        wait_until(lambda: client.health_check() and value("client_unknown_replies_total") == before + 3)
        wait_until(lambda: is_clean(redis))
    client.close()


def test_an_overload_is_counted(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    client = WebSocketRPCClient(config.model_copy(update={"stream_maxlen": 1}))
    redis.xgroup_create(STREAM, config.consumer_group, mkstream=True)
    redis.xadd(STREAM, {"payload": "{}"})
    with pytest.raises(RPCError):
        client.fire_and_forget("overloading")
    client.close()

    assert value("client_calls_total", method="overloading", code="overloaded") == 1


@pytest.mark.parametrize("url", ["redis", "memory://"])
def test_a_call_is_one_trace(url: str, config: WebSocketRPCConfig, handlers: Handlers) -> None:
    client = WebSocketRPCClient(config if url == "redis" else config.model_copy(update={"redis_url": url}))
    with recorded_spans() as spans, serving(config, handlers):
        client.call("echo", {})
        client.call_many([("health", {})])
        with pytest.raises(RPCError):
            client.call("made.up")
        client.close()

    by_kind = {(span.kind.name, span.attributes["rpc.method"]): span for span in spans}
    assert len(by_kind) == len(spans) == 6
    for method in ("echo", "health", "made.up"):
        caller, server = by_kind["CLIENT", method], by_kind["SERVER", method]
        assert server.parent.span_id == caller.context.span_id
        assert server.attributes["rpc.correlation_id"] == caller.attributes["rpc.correlation_id"]
    assert by_kind["CLIENT", "made.up"].attributes["error.type"] == "method_not_found"


def test_lines_about_calls_carry_their_fields_and_no_secrets(
    config: WebSocketRPCConfig, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = WebSocketRPCClient(config)
    loud = WebSocketRPCClient(config.model_copy(update={"log_rpc_calls": True}))
    params = {"message": "hunter2-plain", "password": "hunter2"}
    with caplog.at_level(logging.DEBUG, "django_cfg.rpc"), serving(config, handlers) as running:
        quiet.call("echo", params)
        for _ in range(2):
            with pytest.raises(RPCError):
                quiet.call("silent_failure", params)
        assert "hunter2" not in caplog.text

        loud.call("echo", params)
        with pytest.raises(RPCError):
            loud.call("evil\nline", {})
        consumer = running.server.consumer
    quiet.close()
    loud.close()

    assert r"evil\nline {}: method_not_found" in caplog.text or r"evil\nline {}: validation_error" in caplog.text
    assert not any("\n" in record.getMessage() for record in caplog.records if record.levelno < logging.ERROR)
    assert "hunter2-plain" in caplog.text
    assert '"hunter2"' not in caplog.text
    made = next(record for record in caplog.records if "echo" in record.getMessage())
    assert made.__dict__["method"] == "echo"
    assert made.__dict__["client"].startswith("websocket_rpc:")
    assert len(made.__dict__["correlation_id"]) == 36
    failed = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert failed.__dict__["method"] == "silent_failure"
    assert len(failed.__dict__["correlation_id"]) == 36
    assert consumer


@pytest.mark.parametrize(
    "file",
    [*(PACKAGE / "modules" / "django_rpc").rglob("*.py"), PACKAGE / "rpc" / "runner.py"],
    ids=lambda file: str(file.relative_to(PACKAGE)),
)
def test_every_log_line_has_its_fields(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
            assert "extra" in [keyword.arg for keyword in node.keywords], f"{file.name}:{node.lineno}"


def _is_logger(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "logger"


def test_probes_and_metrics_of_a_server_process(own_redis: RedisServer, tmp_path: Path) -> None:
    port = free_ports(2)
    arguments = ("rpc_server", "--processes", "2", "--health-addr", str(port))
    with process(tmp_path, own_redis.url, *arguments) as server:
        server.until_serving(2)
        for each in (port, port + 1):
            assert get(each, "/livez") == (200, "ok\n")
            assert get(each, "/readyz") == (200, "ok\n")
        with own_redis.client() as redis:
            ask(redis, dialect_b("echo", {}))
        wait_until(lambda: sum('method="echo"' in get(each, "/metrics")[1] for each in (port, port + 1)) == 1)

        own_redis.stop()
        wait_until(lambda: get(port, "/readyz") == (503, "Redis cannot be reached\n"))
        assert get(port, "/livez") == (200, "ok\n")
        own_redis.start()
        wait_until(lambda: get(port, "/readyz") == (200, "ok\n"))
        assert server.end() == 0, server.log


def test_a_server_that_may_not_read_is_not_ready(own_redis: RedisServer, tmp_path: Path) -> None:
    port = free_ports(1)
    url = own_redis.url.replace("redis://", "redis://poor:secret-word@")
    refused = (503, "Redis refuses what this server asks; the log says what\n")
    with own_redis.client() as redis:
        redis.execute_command("ACL", "SETUSER", "poor", "on", ">secret-word", "~*", "&*", "+@all", "-xreadgroup")
        with process(tmp_path, url, "rpc_server", "--health-addr", str(port)) as server:
            wait_until(lambda: "Redis failed: " in server.log and "xreadgroup" in server.log)
            assert get(port, "/readyz") == refused
            assert "Serving" not in server.log

            redis.execute_command("ACL", "SETUSER", "poor", "+xreadgroup")
            server.until_serving()
            assert get(port, "/readyz") == (200, "ok\n")

            redis.execute_command("ACL", "SETUSER", "poor", "-xreadgroup")
            wait_until(lambda: get(port, "/readyz") == refused)
            assert "secret-word" not in server.log


def test_a_draining_server_is_alive_and_not_ready(config: WebSocketRPCConfig, redis: Any, tmp_path: Path) -> None:
    port = free_ports(1)
    with process(tmp_path, config.redis_url, "rpc_bridge", "--health-addr", f"127.0.0.1:{port}") as bridge:
        bridge.until_serving()
        redis.xadd("stream:django:requests", {"payload": json.dumps(dialect_b("work", {"name": "x", "seconds": 2}))})
        wait_until(lambda: bridge.runs() == ["x"])
        bridge.send(signal.SIGTERM)

        wait_until(lambda: get(port, "/readyz") == (503, "draining\n"))
        assert get(port, "/livez") == (200, "ok\n")
        assert bridge.wait() == 0, bridge.log


def test_a_busy_port_and_a_bad_address_are_errors_of_the_command(config: WebSocketRPCConfig, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for address, words in ((str(port), f"port {port} is in use"), ("nonsense", "write HOST:PORT")):
            with process(tmp_path, config.redis_url, "rpc_server", "--health-addr", address) as server:
                assert server.wait() == 1
                assert words in server.log


def test_a_read_loop_that_stands_still_is_dead(
    config: WebSocketRPCConfig, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(config, handlers) as running:
        assert running.server.why_dead() == ""
        monkeypatch.setattr(server_module, "STUCK_SECONDS", -1.0)
        assert "nothing has been read" in running.server.why_dead()


def test_a_redis_that_evicts_is_warned_of(
    own_redis: RedisServer, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    config = WebSocketRPCConfig(redis_url=own_redis.url)
    with serving(config, handlers), own_redis.client() as redis:
        ask(redis, dialect_b("echo", {}))
    assert "maxmemory" not in caplog.text

    with own_redis.client() as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
    with serving(config, handlers):
        wait_until(lambda: "maxmemory-policy allkeys-lru" in caplog.text)
    assert caplog.text.count("allkeys-lru") == 1


def test_the_log_of_a_server_says_what_is_wrong_with_redis(
    own_redis: RedisServer, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(WebSocketRPCConfig(redis_url=own_redis.url), handlers):
        own_redis.stop()
        wait_until(lambda: "Redis failed: ConnectionError: Error 111 connecting to" in caplog.text)
        own_redis.start()


def test_a_trailing_sum_forgets() -> None:
    kept = TrailingSum(60)
    for second in range(0, 300, 2):
        kept.add(10, float(second))

    assert 300 <= kept.total(298.0) <= 320
    assert kept.total(400.0) == 0
