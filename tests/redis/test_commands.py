"""Looking at a stream and its dead letters from the shell."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.commands import rpc_call, rpc_dead_letters, rpc_status
from django_cfg.modules.django_rpc.protocol import MAX_PAYLOAD_BYTES
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.wire import STREAM, dialect_b, send, wait_until


@pytest.fixture(autouse=True)
def configured(config: WebSocketRPCConfig, settings: Any) -> None:
    settings.WEBSOCKET_RPC = config.to_django_settings()["WEBSOCKET_RPC"]


@pytest.fixture
def server(config: WebSocketRPCConfig, handlers: Handlers) -> Iterator[Running]:
    with serving(config, handlers, concurrency=1) as running:
        yield running


def output(command: Any, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command.Command(stdout=out), *arguments)
    return out.getvalue()


def test_the_status_of_an_empty_redis(redis: Any) -> None:
    assert json.loads(output(rpc_status, "--json")) == {
        "stream": STREAM,
        "servers": {},
        "draining": {},
        "waiting": 0,
        "running": 0,
        "oldest_seconds": 0.0,
        "dead_letters": 0,
        "maxmemory_policy": "noeviction",
    }


def test_the_status_of_a_busy_server(redis: Any, server: Running, handlers: Handlers) -> None:
    send(redis, dialect_b("held", {"name": "first"}))
    wait_until(lambda: handlers.ran == ["first"])
    send(redis, dialect_b("held", {"name": "second"}))
    time.sleep(0.05)  # for something to be old

    facts = json.loads(output(rpc_status, "--json"))

    assert facts["servers"] == {server.server.consumer: 1}
    assert (facts["waiting"], facts["running"], facts["dead_letters"]) == (1, 1, 0)
    assert 0 < facts["oldest_seconds"] < 60
    assert f"{server.server.consumer} (1 in flight)" in output(rpc_status)


def test_dead_letters_are_listed_requeued_and_dropped(redis: Any, server: Running, handlers: Handlers) -> None:
    for payload in ("{not json", "{nor this"):
        send(redis, payload)
    request = dialect_b("boom", {}, timeout=0)
    send(redis, request)
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 3)

    letters = json.loads(output(rpc_dead_letters, "--json"))
    failed, *malformed = letters
    assert json.loads(failed["payload"]) == request
    assert failed["reason"] == "insufficient funds"
    assert [letter["payload"] for letter in malformed] == ["{nor this", "{not json"]
    assert "insufficient funds" in output(rpc_dead_letters, "--count", "1")

    output(rpc_dead_letters, "--drop", malformed[0]["id"])
    assert redis.xlen(f"{STREAM}:dead") == 2
    with pytest.raises(CommandError, match="no dead letter"):
        output(rpc_dead_letters, "--drop", malformed[0]["id"])


def test_one_dead_letter_is_shown_whole(redis: Any, server: Running) -> None:
    request = dialect_b("boom", {"text": "a"}, timeout=0)
    send(redis, request)
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    ((letter_id, _),) = redis.xrange(f"{STREAM}:dead")

    shown = json.loads(output(rpc_dead_letters, "--show", letter_id.decode()))

    assert json.loads(shown["payload"]) == request
    assert (shown["id"], shown["reason"]) == (letter_id.decode(), "insufficient funds")
    with pytest.raises(CommandError, match="no dead letter 1-1"):
        output(rpc_dead_letters, "--show", "1-1")


def test_a_dead_letter_says_whose_entry_it_was(redis: Any, server: Running, config: WebSocketRPCConfig) -> None:
    client = WebSocketRPCClient(config)
    entry_id = client.fire_and_forget("boom", as_user="42")
    keyed = redis.xadd(STREAM, {"payload": "{not json", "key": "k", "timeout_ms": "2500"})
    client.close()
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 2)

    letters = {letter["entry_id"]: letter for letter in json.loads(output(rpc_dead_letters, "--json"))}
    told = [[letters[each][name] for name in ("user", "key", "timeout_ms")] for each in (entry_id, keyed.decode())]
    assert told == [["42", "", None], ["", "k", 2500]]
    assert '"user": "42"' in output(rpc_dead_letters, "--show", letters[entry_id]["id"])


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("boom", {}, "insufficient funds"),
        ("no_such", {}, "unknown method 'no_such'"),
        ("typed", {"message": 5}, "invalid params for typed: message"),
        ("a b", {}, "method must be a name"),
    ],
)
def test_an_event_that_fails_is_in_the_log(
    redis: Any, server: Running, caplog: pytest.LogCaptureFixture, method: str, params: Any, reason: str
) -> None:
    send(redis, dialect_b(method, params, timeout=0))
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)

    (line,) = caplog.records
    assert f" is given up, and a dead letter now: {reason}" in line.getMessage()
    assert line.levelname == "WARNING"
    assert line.__dict__.get("method", "") == ("" if " " in method else method)


def test_the_dead_letter_of_too_large_a_request_keeps_no_payload(redis: Any, server: Running) -> None:
    redis.xadd(STREAM, {"payload": "x" * (MAX_PAYLOAD_BYTES + 1), "user": "42"})
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    (letter,) = json.loads(output(rpc_dead_letters, "--json"))

    assert letter["payload"] == ""
    assert letter["reason"] == f"the payload has {MAX_PAYLOAD_BYTES + 1} bytes; the limit is {MAX_PAYLOAD_BYTES}"
    with pytest.raises(CommandError, match="has no payload, so there is nothing to run"):
        output(rpc_dead_letters, "--requeue", letter["id"])
    assert redis.xlen(f"{STREAM}:dead") == 1


def test_the_list_of_dead_letters_has_a_line_for_each(redis: Any) -> None:
    redis.xadd(f"{STREAM}:dead", {"payload": "{}", "reason": "two\nlines \x1b[31m", "deliveries": 1})

    (line,) = output(rpc_dead_letters).splitlines()

    assert line.endswith("1 deliveries  two lines  [31m")
    with pytest.raises(CommandError, match="--count must be 1 or more"):
        output(rpc_dead_letters, "--count", "0")


def test_a_requeued_letter_runs_again(redis: Any, server: Running) -> None:
    send(redis, dialect_b("boom", {}, timeout=0))
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    (letter,) = json.loads(output(rpc_dead_letters, "--json"))

    output(rpc_dead_letters, "--requeue", letter["id"])

    wait_until(lambda: server.server.counts["dead"] == 2)
    wait_until(lambda: redis.xlen(STREAM) == 0)
    (again,) = json.loads(output(rpc_dead_letters, "--json"))
    assert again["id"] != letter["id"]
    assert again["payload"] == letter["payload"]


def test_rpc_call(redis: Any, server: Running) -> None:
    assert json.loads(output(rpc_call, "echo", '{"n": 1}')) == {"n": 1}
    with pytest.raises(CommandError, match="application_error: insufficient funds"):
        output(rpc_call, "boom")
    with pytest.raises(CommandError, match="not valid JSON"):
        output(rpc_call, "echo", "{")


@pytest.mark.parametrize("id_field", ["correlation_id", "cid"])
def test_a_requeued_letter_runs_again_whatever_its_parameters_look_like(
    redis: Any, server: Running, id_field: str
) -> None:
    params = {"correlation_id": "another-calls", "reply_to": "list:response:x"}
    send(redis, json.dumps({"method": "boom", "params": params, id_field: "own", "timeout": 0}))
    redis.set("rpc:call:another-calls", "kept")
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    (letter,) = json.loads(output(rpc_dead_letters, "--json"))

    output(rpc_dead_letters, "--requeue", letter["id"])

    wait_until(
        lambda: [each["id"] for each in json.loads(output(rpc_dead_letters, "--json"))] not in ([], [letter["id"]])
    )
    assert redis.get("rpc:call:another-calls") == b"kept"


def test_a_letter_of_odd_fields_stops_no_list(redis: Any) -> None:
    redis.xadd(f"{STREAM}:dead", {"payload": "{}", "reason": "odd", "deliveries": "abc", "timeout_ms": "9" * 5000})

    (letter,) = json.loads(output(rpc_dead_letters, "--json"))

    assert (letter["deliveries"], letter["timeout_ms"]) == (0, None)
    assert "odd" in output(rpc_dead_letters)


@pytest.mark.parametrize("option", ["--show", "--requeue", "--drop"])
@pytest.mark.parametrize("given", ["", "1000", "-", "x-1"])
def test_what_is_no_id_of_a_letter_is_refused(redis: Any, option: str, given: str) -> None:
    with pytest.raises(CommandError, match="takes the id of a dead letter"):
        output(rpc_dead_letters, f"{option}={given}")
