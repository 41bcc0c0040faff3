"""The client as its users see it, over a real Redis: one set of tests for each of its ways."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, assert_type

import pytest
from django.test import override_settings
from pydantic import BaseModel, SecretStr, ValidationError, field_serializer

from django_cfg.errors import MalformedMessageError, NoResponders, RPCOverloadedError, RPCRemoteError, RPCTimeoutError
from django_cfg.models.websocket import RPCErrorCode
from django_cfg.modules.django_rpc.client import RPCCall, WebSocketRPCClient, get_rpc_client
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import MAX_PARAMS_BYTES
from django_cfg.modules.django_rpc.redis_transport import RedisTransport
from django_cfg.rpc import blocking
from django_cfg.tests.websocket.serving import BOUND_SECONDS, EchoParams, EchoResult, Handlers, Running, serving

WAYS = ("fused", "shared", "memory")


class Site:
    """A client, and whoever answers it."""

    def __init__(self, client: WebSocketRPCClient, handlers: Handlers, running: Running | None) -> None:
        self.client = client
        self.handlers = handlers
        self.running = running


def make_client(config: WebSocketRPCConfig, way: str) -> WebSocketRPCClient:
    if way == "memory":
        return WebSocketRPCClient(config)
    return WebSocketRPCClient(config, RedisTransport(config, most_fused=1000 if way == "fused" else 0))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(
    way: str, request: pytest.FixtureRequest, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    if way == "memory":
        config = WebSocketRPCConfig(enabled=True, redis_url="memory://", rpc_timeout=10)
        monkeypatch.setattr("django_cfg.modules.django_rpc.memory.get_global_router", handlers.router)
        client = make_client(config, "memory")
        yield Site(client, handlers, None)
        handlers.release.set()
        client.close()
        return
    config = request.getfixturevalue("config")
    with serving(config, handlers) as running:
        client = make_client(config, way)
        yield Site(client, handlers, running)
        client.close()


def test_a_typed_call_returns_its_result_model(site: Site) -> None:
    result = site.client.call("typed", EchoParams(message="hello"), EchoResult, timeout=10)

    assert result == EchoResult(message="hello", length=5)


async def test_both_twins_tell_type_checkers_what_they_return(site: Site) -> None:
    """mypy and pyright check these lines."""
    client, params = site.client, EchoParams(message="hello")

    assert_type(await asyncio.to_thread(client.call, "typed", params, EchoResult), EchoResult)
    assert_type(await client.acall("typed", params, EchoResult), EchoResult)
    assert_type(await client.acall("typed", params, EchoResult, 10, idempotency_key="k"), EchoResult)
    assert_type(await client.acall("typed", params, result_model=EchoResult, as_user=42), EchoResult)
    assert_type(await client.acall("typed", params), Any)


def test_without_a_result_model_the_result_is_plain_data(site: Site) -> None:
    assert site.client.call("typed", {"message": "hello"}) == {"message": "hello", "length": 5}
    assert site.client.call("nothing") is None


def test_a_result_that_does_not_fit_is_a_validation_error(site: Site) -> None:
    with pytest.raises(ValidationError):
        site.client.call("echo", {"message": "hello"}, EchoResult)


def test_an_error_of_the_server_carries_its_code_and_text(site: Site) -> None:
    with pytest.raises(RPCRemoteError) as caught:
        site.client.call("boom")

    assert caught.value.error.code == RPCErrorCode.APPLICATION_ERROR
    assert str(caught.value) == "insufficient funds"
    assert not caught.value.is_retryable
    assert caught.value.retry_after is None


def test_a_timeout_of_the_handlers_own_making_is_no_missed_deadline(site: Site) -> None:
    with pytest.raises(RPCRemoteError, match=r"^the bank did not answer$") as caught:
        site.client.call("own_timeout")

    assert (caught.value.code, caught.value.details) == (RPCErrorCode.TIMEOUT, {"bank": 1})


@pytest.mark.parametrize("method", ["no_such_method", "own_timeout", "held", "unreachable"])
def test_an_error_of_a_call_inside_a_handler_is_told_to_nobody_but_the_log(
    site: Site, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = WebSocketRPCClient(WebSocketRPCConfig(redis_url="redis://127.0.0.1:1/2"))
    site.handlers.client = nowhere if method == "unreachable" else site.client
    with pytest.raises(RPCRemoteError, match=r"^internal error \(id \w+\)$") as caught:
        site.client.call("nested", {"method": method, "timeout": 0.3})
    nowhere.close()

    assert caught.value.code == RPCErrorCode.INTERNAL_ERROR
    assert not caught.value.is_retryable
    failed = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert f"its call of {method} failed" in failed.getMessage()
    assert failed.exc_info


def test_a_call_inside_a_handler_has_no_longer_than_the_handler_itself(site: Site) -> None:
    site.handlers.client = site.client
    site.client.call("nested", {"method": "effect", "timeout": 600}, timeout=8)

    assert 0 < site.handlers.conns[-1].remaining_seconds <= 8


def test_a_handler_that_waits_for_another_ends_at_its_own_deadline(site: Site) -> None:
    site.handlers.client = site.client
    with pytest.raises(RPCTimeoutError) as caught:
        site.client.call("nested", {"method": "held", "timeout": 600}, timeout=0.4)

    assert caught.value.method == "nested"


def test_an_unknown_method_is_named(site: Site) -> None:
    with pytest.raises(RPCRemoteError, match="no_such_method") as caught:
        site.client.call("no_such_method")

    assert caught.value.error.code == RPCErrorCode.METHOD_NOT_FOUND


def test_invalid_params_say_where(site: Site) -> None:
    with pytest.raises(RPCRemoteError) as caught:
        site.client.call("typed", {"message": 5})

    assert caught.value.error.code == RPCErrorCode.INVALID_PARAMS
    assert caught.value.error.details is not None
    assert caught.value.error.details["errors"][0]["loc"] == ["message"]


def test_a_missed_deadline_names_method_and_seconds(site: Site) -> None:
    with pytest.raises(RPCTimeoutError) as caught:
        site.client.call("held", timeout=0.3)

    assert caught.value.method == "held"
    assert caught.value.timeout_seconds == 0.3


@pytest.mark.parametrize("timeout", [0, -1, 86_401, float("nan"), float("inf")])
def test_a_timeout_must_be_greater_than_zero_and_no_more_than_a_day(site: Site, timeout: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        site.client.call("echo", timeout=timeout)


def test_the_handler_sees_a_service_and_no_user(site: Site) -> None:
    site.client.call("typed", {"message": "x"})

    (conn,) = site.handlers.conns
    assert conn.is_service
    assert conn.user_id is None
    assert conn.transport == "redis"
    assert 0 < conn.remaining_seconds <= 10


def test_many_calls_give_results_and_errors_in_order(site: Site) -> None:
    results = site.client.call_many(
        [
            RPCCall("typed", EchoParams(message="a"), EchoResult),
            ("boom",),
            {"method": "echo", "params": {"n": 3}},
            ("echo", {"n": 4}, EchoResult),
        ]
    )

    assert results[0] == EchoResult(message="a", length=1)
    assert isinstance(results[1], RPCRemoteError)
    assert results[2] == {"n": 3}
    assert isinstance(results[3], ValidationError)


@pytest.mark.parametrize("wrong", ["echo", 5, ("echo", {}, None, 5), {"name": "echo"}])
def test_what_is_no_call_is_refused_before_any_is_sent(site: Site, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"each call is RPCCall\(method, params, result_model\)"):
        site.client.call_many([("effect",), wrong])

    site.client.call("echo")
    assert site.handlers.ran == []


async def test_the_asynchronous_twins(site: Site) -> None:
    assert await site.client.acall("typed", EchoParams(message="a"), EchoResult) == EchoResult(message="a", length=1)
    assert await site.client.acall_many([("echo", {"n": n}) for n in range(20)]) == [{"n": n} for n in range(20)]
    with pytest.raises(RPCRemoteError, match="insufficient"):
        await site.client.acall("boom")
    with pytest.raises(RPCTimeoutError):
        await site.client.acall("held", timeout=0.2)


def test_every_thread_gets_its_own_reply(site: Site) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for i in range(15):
            sent = {"thread": number, "call": i}
            if (got := site.client.call("echo", sent)) != sent:
                wrong.append((sent, got))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_SECONDS)

    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_fire_and_forget_runs_and_returns_the_id_of_its_entry(site: Site) -> None:
    message_id = site.client.fire_and_forget("effect", {"name": "once"})

    milliseconds, _, sequence = message_id.partition("-")
    assert milliseconds.isdigit()
    assert sequence.isdigit()
    wait_until(lambda: site.handlers.ran == ["once"])


def test_a_key_makes_attempts_one_call(site: Site) -> None:
    first = site.client.call("effect", {"name": "a"}, idempotency_key="order-1")
    second = site.client.call("effect", {"name": "a"}, idempotency_key="order-1")
    other = site.client.call("effect", {"name": "a"}, idempotency_key="order-2")

    assert first == second == {"count": 1}
    assert other == {"count": 2}


def test_a_retry_may_write_the_same_params_in_another_way(site: Site) -> None:
    first = site.client.call("effect", {"name": "a", "price": 1, "to": {"b": 2, "a": 1}}, idempotency_key="order-1")
    again = site.client.call("effect", {"to": {"a": 1.0, "b": 2}, "price": 1.0, "name": "a"}, idempotency_key="order-1")

    assert first == again == {"count": 1}


def _ended(result: Any) -> None:
    if asyncio.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("way_to_call", ["call", "acall", "fire_and_forget"])
def test_params_above_the_limit_are_refused_before_they_are_sent(site: Site, way_to_call: str) -> None:
    most = MAX_PARAMS_BYTES - len('{"name":""}')
    call = getattr(site.client, way_to_call)
    with pytest.raises(MalformedMessageError, match=r"have 8387585 bytes as JSON, and nothing was sent; the limit is"):
        _ended(call("effect", {"name": "x" * (most + 1)}))
    assert site.client.call("effect", {"name": "x" * most}, timeout=60) == {"count": 1}


def test_a_blocking_call_in_an_event_loop_is_warned_of_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.client.call("effect")
    site.client.call_many([("effect",)])
    site.client.fire_and_forget("effect")
    assert caplog.text == ""

    async def block() -> None:
        for _ in range(2):
            site.client.call("effect")
            site.client.call_many([("effect",), ("again",)])
            site.client.fire_and_forget("effect")
            await site.client.acall("effect")

    blocking._told.clear()  # pyright: ignore[reportPrivateUsage]
    asyncio.run(block())

    said = [record.getMessage() for record in caplog.records]
    assert all("a call of effect blocks the event loop" in text for text in said)
    remedies = ("await acall there", "await acall_many there", "to_thread(client.fire_and_forget, ...) there")
    assert [text.endswith(remedy) for text, remedy in zip(said, remedies, strict=True)] == [True] * 3


@pytest.mark.parametrize("model", [list[EchoResult], EchoResult | None, dict, "EchoResult", int])
def test_a_result_model_that_is_none_is_refused_before_anything_is_sent(site: Site, model: Any) -> None:
    for call in (
        lambda: site.client.call("effect", {}, model),
        lambda: _ended(site.client.acall("effect", {}, model)),
        lambda: site.client.call_many([("effect",), ("effect", {}, model)]),
        lambda: _ended(site.client.acall_many([{"method": "effect", "result_model": model}])),
    ):
        with pytest.raises(TypeError, match=r"result_model must be a subclass of pydantic.BaseModel, not "):
            call()
    assert site.handlers.ran == []


@pytest.mark.parametrize("twin", ["call_many", "acall_many"])
def test_a_call_that_cannot_be_written_stands_in_the_list(site: Site, twin: str) -> None:
    holds_itself: list[Any] = []
    holds_itself.append(holds_itself)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("echo", {"n": 1}),
        ("echo", {"n": object()}),
        ("echo", {"n": float("nan")}),
        ("echo", {"n": holds_itself}),
    ]

    def run(made: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        if twin == "call_many":
            return site.client.call_many(made)
        return asyncio.run(site.client.acall_many(made))

    first, *failed = run(calls)
    assert first == {"n": 1}
    assert [type(error) for error in failed] == [MalformedMessageError] * 3
    assert [type(error) for error in run(calls[1:])] == [MalformedMessageError] * 3


class Login(BaseModel):
    name: str
    password: SecretStr


class ShownLogin(Login):
    @field_serializer("password")
    def _show(self, password: SecretStr) -> str:
        return password.get_secret_value()


def test_a_secret_is_never_sent_as_asterisks(site: Site) -> None:
    login = {"name": "ann", "password": "hunter2"}
    for params in (Login.model_validate(login), {"in": [Login.model_validate(login)]}):
        with pytest.raises(MalformedMessageError, match="would be sent as asterisks"):
            site.client.call("echo", params)

    assert site.client.call("echo", ShownLogin.model_validate(login)) == login
    assert site.client.call("echo", {"password": "**********"}) == {"password": "**********"}


def test_a_probe_without_time_finds_nobody_healthy(site: Site) -> None:
    assert site.client.health_check(timeout=0) is False
    assert site.client.health_check(timeout=-1) is False
    assert site.client.health_check(timeout=5)


def test_attempts_at_the_same_time_run_once(site: Site) -> None:
    got: list[Any] = []
    call = lambda: got.append(site.client.call("held", {"name": "x"}, idempotency_key="k"))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: site.handlers.ran == ["x"])
    time.sleep(0.1)  # for a second run, if there were one, to begin
    site.handlers.release.set()
    for thread in threads:
        thread.join(BOUND_SECONDS)

    assert site.handlers.ran == ["x"]
    assert got == [{"name": "x"}] * 3


def test_a_key_with_other_params_is_refused(site: Site) -> None:
    site.client.call("effect", {"name": "a"}, idempotency_key="order-1")

    with pytest.raises(RPCRemoteError, match="this idempotency key belongs to another call") as caught:
        site.client.call("effect", {"name": "b"}, idempotency_key="order-1")

    assert caught.value.error.code == RPCErrorCode.VALIDATION_ERROR
    assert site.handlers.ran == ["a"]


def test_health_is_an_answer_of_a_live_server(site: Site) -> None:
    assert site.client.health_check()


def test_a_closed_client_opens_anew(site: Site) -> None:
    site.client.call("echo")
    site.client.close()

    assert site.client.call("echo", {"n": 1}) == {"n": 1}


def test_overridden_settings_take_their_client_with_them(config: WebSocketRPCConfig, handlers: Handlers) -> None:
    kept: list[WebSocketRPCClient] = []
    with serving(config, handlers):
        threads = threading.active_count()
        for url in (config.redis_url, "memory://", config.redis_url):
            with override_settings(WEBSOCKET_RPC={"enabled": True, "redis_url": url}):
                kept.append(get_rpc_client())
                assert get_rpc_client().call_many([("echo", {"n": 1})]) == [{"n": 1}]

        assert threading.active_count() == threads
        assert kept[0] is not kept[2]
        assert kept[0].call("echo", {"n": 2}) == {"n": 2}  # who has kept one may go on
        kept[0].close()


def test_a_full_stream_refuses_at_once(handlers: Handlers, request: pytest.FixtureRequest) -> None:
    config = request.getfixturevalue("config").model_copy(update={"stream_maxlen": 2})
    with serving(config, handlers, concurrency=1):
        for way in ("fused", "shared"):
            client = make_client(config, way)
            while client_accepts(client):
                pass
            with pytest.raises(RPCOverloadedError) as caught:
                client.call("echo")
            assert caught.value.retry_after == 1.0
            with pytest.raises(RPCOverloadedError):
                client.fire_and_forget("echo")
            client.close()


def test_a_full_memory_refuses_at_once(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_cfg.modules.django_rpc.memory.get_global_router", handlers.router)
    client = make_client(WebSocketRPCConfig(enabled=True, redis_url="memory://", stream_maxlen=2), "memory")
    for _ in range(2):
        client.fire_and_forget("held")

    with pytest.raises(RPCOverloadedError):
        client.call("echo")
    with pytest.raises(RPCOverloadedError):
        client.fire_and_forget("echo")
    handlers.release.set()
    wait_until(lambda: client_answers(client))
    client.close()


def client_answers(client: WebSocketRPCClient) -> bool:
    try:
        return bool(client.call("echo", {"n": 1}) == {"n": 1})
    except RPCOverloadedError:
        return False


def client_accepts(client: WebSocketRPCClient) -> bool:
    try:
        client.fire_and_forget("held")
    except RPCOverloadedError:
        return False
    return True


@pytest.mark.parametrize("way", ["fused", "shared"])
def test_without_a_server_a_call_fails_at_once(config: WebSocketRPCConfig, way: str) -> None:
    client = make_client(config, way)
    started = time.monotonic()

    with pytest.raises(NoResponders):
        client.call("echo", timeout=30)

    assert not client.health_check()
    assert time.monotonic() - started < 10
    client.close()


def test_fire_and_forget_is_queued_without_a_server(config: WebSocketRPCConfig, redis: Any) -> None:
    client = make_client(config, "fused")

    message_id = client.fire_and_forget("effect")

    ((entry_id, _),) = redis.xrange("stream:requests")
    assert entry_id.decode() == message_id
    client.close()


def test_broadcast_counts_subscribers(config: WebSocketRPCConfig, redis: Any) -> None:
    client = make_client(config, "fused")
    with redis.pubsub() as listener:
        listener.subscribe("notifications:broadcast")
        assert listener.get_message(timeout=5)["type"] == "subscribe"

        assert client.broadcast("notifications:broadcast", EchoParams(message="hi")) == 1
        assert client.broadcast("nobody:there", {"n": 1}) == 0
        assert listener.get_message(timeout=5)["data"] == b'{"message":"hi"}'
    client.close()


async def test_cancelling_withdraws_a_request_that_has_not_begun(
    config: WebSocketRPCConfig, handlers: Handlers, redis: Any
) -> None:
    with serving(config, handlers, concurrency=1):
        client = make_client(config, "shared")
        busy = asyncio.create_task(client.acall("held", {"name": "first"}))
        await until(lambda: handlers.ran == ["first"])
        waiting = asyncio.create_task(client.acall("held", {"name": "second"}))
        await until(lambda: redis.xlen("stream:requests") == 2)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert redis.xlen("stream:requests") == 1
        handlers.release.set()
        await busy
        await asyncio.to_thread(client.close)

    assert waiting.cancelled()
    assert handlers.ran == ["first"]


class Interrupted(BaseException):
    """As a task queue's time limit raises it in the thread of a task."""


@pytest.mark.parametrize("many", [False, True], ids=["call", "call_many"])
@pytest.mark.parametrize("way", ["fused", "shared"])
def test_an_interrupt_withdraws_a_request_that_has_not_begun(
    config: WebSocketRPCConfig, handlers: Handlers, redis: Any, way: str, many: bool
) -> None:
    client = make_client(config, way)
    outcomes: list[BaseException] = []

    def work() -> None:
        try:
            if many:
                client.call_many([("held", {"name": "second"})])
            else:
                client.call("held", {"name": "second"})
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            outcomes.append(error)

    with serving(config, handlers, concurrency=1):
        client.fire_and_forget("held", {"name": "first"})
        wait_until(lambda: handlers.ran == ["first"])
        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: redis.xlen("stream:requests") == 2)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted))
        thread.join(BOUND_SECONDS)

        assert isinstance(outcomes[0], Interrupted)
        assert redis.xlen("stream:requests") == 1
    client.close()
    assert handlers.ran == ["first"]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


async def until(condition: Any) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - it comes about in another thread
            await asyncio.sleep(0.01)
