"""django-ipc 1.0.9 itself: its bridge answers our client, and its models of both messages agree with our server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from django_cfg.errors import NoResponders, RPCErrorCode, RPCOverloadedError, RPCRemoteError, RPCTimeoutError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.tests.websocket.redis_server import missing_program
from django_cfg.tests.websocket.serving import Handlers, serving
from tests.redis.wire import BOUND_SECONDS, GROUP, STREAM, wait_until

PYTHON = Path(__file__).parents[2] / ".cache" / "django-ipc" / "bin" / "python"
"""Of the venv that `scripts/setup --test` makes for it."""

PROGRAMS = Path(__file__).with_name("ipc")


class Typed(BaseModel):
    message: str


class Bridge:
    """The process of django-ipc's bridge; `printed` is what its handlers have noted."""

    def __init__(self, config: WebSocketRPCConfig, file: Path) -> None:
        self._file = file
        self._url = config.redis_url

    def start(self) -> None:
        with self._file.open("wb") as out:
            command = [PYTHON, PROGRAMS / "bridge.py", self._url]
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=self._file.parent)
        wait_until(lambda: "serving" in self.lines() or self._process.poll() is not None)
        assert self._process.poll() is None, self._file.read_text()

    def lines(self) -> list[str]:
        return self._file.read_text().splitlines()

    def printed(self) -> list[Any]:
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if shutil.which(PYTHON) is None:
        missing_program("django-ipc")


@pytest.fixture
def bridge(config: WebSocketRPCConfig, tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(config, tmp_path / "bridge.log")
    bridge.start()
    yield bridge
    bridge.kill()


def client_of(config: WebSocketRPCConfig, most_fused: int = 8) -> Iterator[WebSocketRPCClient]:
    client = WebSocketRPCClient(config, RedisTransport(config, most_fused=most_fused))
    yield client
    client.close()


@pytest.fixture
def client(config: WebSocketRPCConfig) -> Iterator[WebSocketRPCClient]:
    yield from client_of(config)


@pytest.fixture(params=[1000, 0], ids=["fused", "shared"])
def either(request: pytest.FixtureRequest, config: WebSocketRPCConfig) -> Iterator[WebSocketRPCClient]:
    """A client that goes one way only."""
    yield from client_of(config, request.param)


def test_it_answers_typed_calls(bridge: Bridge, either: WebSocketRPCClient) -> None:
    for n in range(10):
        assert either.call("typed", Typed(message=f"number {n}"), Typed) == Typed(message=f"number {n}")
    assert either.call("echo", {"deep": [1, {"ä": None}]}, timeout=5) == {"deep": [1, {"ä": None}]}


def test_its_failures_are_errors_of_ours(bridge: Bridge, either: WebSocketRPCClient) -> None:
    """It knows one code for all that its handlers raise."""
    for method, params, code, text in (
        ("boom", {}, RPCErrorCode.INTERNAL_ERROR, "insufficient funds"),
        ("typed", {}, RPCErrorCode.VALIDATION_ERROR, "Field required"),
        ("unknown", {}, RPCErrorCode.INTERNAL_ERROR, "Unknown RPC method: unknown"),
    ):
        with pytest.raises(RPCRemoteError, match=text) as caught:
            either.call(method, params)
        assert caught.value.code == code
        assert not caught.value.retryable


def test_what_it_does_not_answer_is_a_timeout_that_names_it(bridge: Bridge, either: WebSocketRPCClient) -> None:
    with pytest.raises(RPCTimeoutError, match="on ws_server_") as caught:
        either.call("silent", timeout=0.5)

    assert caught.value.details == {"state": "running"}
    assert either.call("echo", {"n": 1}) == {"n": 1}


def test_many_threads_get_each_its_own_reply(bridge: Bridge, client: WebSocketRPCClient) -> None:
    sent = [{"n": n} for n in range(500)]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda params: client.call("echo", params), sent)) == sent


def test_many_calls_at_once(bridge: Bridge, client: WebSocketRPCClient) -> None:
    results = client.call_many(
        [*(("echo", {"n": n}) for n in range(200)), ("boom",), ("typed", {"message": "x"}, Typed)]
    )

    assert results[:200] == [{"n": n} for n in range(200)]
    assert isinstance(results[200], RPCRemoteError)
    assert results[201] == Typed(message="x")


async def test_asynchronous_calls(bridge: Bridge, client: WebSocketRPCClient) -> None:
    assert await client.acall("typed", {"message": "x"}, Typed) == Typed(message="x")
    sent = [{"n": n} for n in range(50)]
    assert await asyncio.gather(*(client.acall("echo", params) for params in sent)) == sent
    with pytest.raises(RPCRemoteError, match="insufficient"):
        await client.acall("boom")
    await asyncio.to_thread(client.close)


def test_fire_and_forget_reaches_it(bridge: Bridge, client: WebSocketRPCClient) -> None:
    client.fire_and_forget("noted", {"name": "x"})

    wait_until(lambda: bridge.printed() == [{"name": "x"}])


def test_a_key_is_no_hindrance_to_it(bridge: Bridge, either: WebSocketRPCClient) -> None:
    """It keeps no record, so each attempt runs."""
    for _ in range(2):
        assert either.call("noted", {"name": "x"}, idempotency_key="k") == {}

    assert bridge.printed() == [{"name": "x"}] * 2


def test_nobody_is_told_that_it_does_not_live(
    config: WebSocketRPCConfig, redis: Any, either: WebSocketRPCClient, tmp_path: Path
) -> None:
    """It says nowhere that it lives; that its group is there must do."""
    with pytest.raises(NoResponders):
        either.call("echo")
    bridge = Bridge(config, tmp_path / "bridge.log")
    bridge.start()
    try:
        assert either.call("echo", {"n": 1}) == {"n": 1}
        assert either.health_check()
        assert not redis.exists(f"rpc:servers:{STREAM}")
    finally:
        bridge.kill()


def test_what_it_leaves_in_the_stream_is_no_backlog(bridge: Bridge, config: WebSocketRPCConfig, redis: Any) -> None:
    """It removes no entries."""
    for client in client_of(config.model_copy(update={"stream_maxlen": 10})):
        for n in range(50):
            assert client.call("echo", {"n": n}) == {"n": n}

    assert redis.xlen(STREAM) == 50


def test_what_has_failed_there_is_no_backlog(bridge: Bridge, config: WebSocketRPCConfig, redis: Any) -> None:
    """It acknowledges no failure."""
    for client in client_of(config.model_copy(update={"stream_maxlen": 10})):
        for _ in range(30):
            with pytest.raises(RPCRemoteError):
                client.call("boom")

        assert client.call("echo", {"n": 1}) == {"n": 1}
    assert redis.xpending(STREAM, GROUP)["pending"] >= 30


def test_what_it_has_left_does_not_fill_the_stream_of_ours(
    bridge: Bridge, config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    """The limit is that of requests which wait or run, and it holds still."""
    few = config.model_copy(update={"stream_maxlen": 10})
    for client in client_of(few):
        for method in ("echo", "boom") * 15:
            client.call_many([(method,)])
        bridge.kill()
        with serving(few, handlers, concurrency=1):
            assert client.call("echo", {"n": 1}) == {"n": 1}
            client.fire_and_forget("held")
            wait_until(lambda: handlers.ran == ["held"])
            for _ in range(9):
                client.fire_and_forget("effect")
            with pytest.raises(RPCOverloadedError):
                client.call("echo")


def test_it_is_still_there_when_ours_have_gone(
    bridge: Bridge, config: WebSocketRPCConfig, handlers: Handlers, either: WebSocketRPCClient
) -> None:
    with serving(config, handlers):
        for n in range(20):
            assert either.call("echo", {"n": n}) == {"n": n}

    assert either.call("typed", {"message": "x"}, Typed) == Typed(message="x")


def test_it_gets_calls_again_when_ours_are_forgotten(
    bridge: Bridge, config: WebSocketRPCConfig, redis: Any, handlers: Handlers, either: WebSocketRPCClient
) -> None:
    """It need never have had one."""
    with serving(config, handlers):
        pass
    redis.delete(f"rpc:servers:{STREAM}")

    assert either.call("echo", {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("method", ["typed", "boom", "no_such_method"])
def test_its_models_make_requests_for_our_server_and_take_its_replies(
    config: WebSocketRPCConfig, handlers: Handlers, tmp_path: Path, method: str
) -> None:
    command = [PYTHON, PROGRAMS / "caller.py", config.redis_url, method, "hello"]
    with serving(config, handlers):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=BOUND_SECONDS)

    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    expected = {
        "typed": (True, None, {"message": "hello", "length": 5}),
        "boom": (False, "application_error", None),
        "no_such_method": (False, "method_not_found", None),
    }
    assert (response["success"], response["error_code"], response["result"]) == expected[method]
