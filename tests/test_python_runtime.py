"""The Python base client against a scripted server: every sentence of its behaviour, over the real SDK and real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient, RPCError
from tests.fake_centrifugo import FakeCentrifugo, Request, fake_centrifugo, soon, until

NEVER = 3600.0
Connect = Callable[..., Any]


@pytest.fixture
async def server() -> AsyncIterator[FakeCentrifugo]:
    async with fake_centrifugo() as running:
        yield running


@pytest.fixture
async def connect(server: FakeCentrifugo) -> AsyncIterator[Connect]:
    """Connected clients, which are closed at the end and leave no task behind."""
    clients: list[CentrifugoRPCClient] = []

    async def start(**options: Any) -> CentrifugoRPCClient:
        client = CentrifugoRPCClient(server.url, "token-1", "42", **{"resend_interval": NEVER, **options})
        clients.append(client)
        await soon(client.connect())
        return client

    yield start
    for client in clients:
        await soon(client.disconnect())
    await until(lambda: not client_tasks())


def client_tasks() -> list[str]:
    """Tasks of the client and of the SDK, by the file of their code."""
    files = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    return [f"{code.co_name} in {code.co_filename}" for code in files if code and is_client_code(code.co_filename)]


def is_client_code(filename: str) -> bool:
    return filename.endswith("rpc_client.py") or "/centrifuge/" in filename


def begin(client: CentrifugoRPCClient, method: str = "tasks.get", params: Any = None, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(client.call(method, params or {"n": 1}, **options))


async def failure(call: Any) -> RPCError:
    with pytest.raises(RPCError) as caught:
        await soon(call)
    return caught.value


def recovering(subscribe: dict[str, Any], *publications: dict[str, Any]) -> dict[str, Any]:
    """A subscribe reply of a channel with history; the second time with what was missed."""
    missed = list(publications) if subscribe.get("recover") else []
    return {"subscribe": {"recoverable": True, "epoch": "e", "offset": 0, "publications": missed, "recovered": True}}


class TestConnect:
    async def test_returns_when_the_reply_channel_is_subscribed(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()

        assert [s["channel"] for s in server.subscribes] == ["user#42"]
        assert server.connects[0]["token"] == "token-1"
        assert client.state == "connected"

    async def test_a_call_before_the_subscription_waits_for_it(self, server: FakeCentrifugo) -> None:
        calls: list[asyncio.Task[Any]] = []

        def call_early(state: str) -> None:
            if state == "connecting":
                calls.append(begin(client))

        client = CentrifugoRPCClient(server.url, "t", "42", on_state=call_early)
        await soon(client.connect())
        request = await server.request()

        assert server.kinds == ["connect", "subscribe", "publish"]
        await request.reply("ok")
        assert await soon(calls[0]) == "ok"
        await client.disconnect()

    @pytest.mark.parametrize(
        ("refusal", "code"),
        [
            ({"error": {"code": 101, "message": "unauthorized"}}, "unauthorized"),
            ({"error": {"code": 107, "message": "bad request"}}, "connection_error"),
            ({"error": {"code": 109, "message": "token expired", "temporary": True}}, "unauthorized"),
        ],
    )
    async def test_refused_token(self, server: FakeCentrifugo, refusal: dict[str, Any], code: str) -> None:
        server.connected = lambda _: refusal
        client = CentrifugoRPCClient(server.url, "t", "42")

        assert (await failure(client.connect())).code == code
        assert client.state == "disconnected"
        await until(lambda: not client_tasks())

    async def test_token_refused_by_close_code(self, server: FakeCentrifugo) -> None:
        server.connected = lambda _: {"close": (3500, "invalid token")}
        error = await failure(CentrifugoRPCClient(server.url, "t", "42").connect())

        assert error.code == "unauthorized"
        assert "invalid token" in str(error)

    async def test_refused_reply_channel(self, server: FakeCentrifugo) -> None:
        server.subscribed = lambda _: {"error": {"code": 103, "message": "permission denied"}}
        client = CentrifugoRPCClient(server.url, "t", "42")
        error = await failure(client.connect())

        assert (error.code, client.state) == ("unauthorized", "disconnected")
        assert "user#42: permission denied" in str(error)
        await until(lambda: not client_tasks())

    async def test_nobody_listens(self) -> None:
        client = CentrifugoRPCClient("ws://127.0.0.1:1/", "t", "42")
        error = await failure(client.connect())

        assert error.code == "connection_error"
        assert "ws://127.0.0.1:1/" in str(error)
        await until(lambda: not client_tasks())

    async def test_a_server_that_never_answers(self, server: FakeCentrifugo) -> None:
        server.subscribed = lambda _: None
        client = CentrifugoRPCClient(server.url, "t", "42", timeout=0.05)

        assert (await failure(client.connect())).code == "connection_error"
        await until(lambda: not client_tasks())

    async def test_cancelled(self, server: FakeCentrifugo) -> None:
        server.subscribed = lambda _: None
        client = CentrifugoRPCClient(server.url, "t", "42")
        connecting = asyncio.create_task(client.connect())
        await until(lambda: server.subscribes)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(connecting)

        assert client.state == "disconnected"
        await until(lambda: not client_tasks())

    async def test_async_with_and_states(self, server: FakeCentrifugo) -> None:
        states: list[str] = []
        async with CentrifugoRPCClient(server.url, "t", "42", on_state=states.append) as client:
            await server.drop()
            await until(lambda: len(server.subscribes) == 2 and client.state == "connected")

        assert states == ["connecting", "connected", "connecting", "connected", "disconnected"]

    async def test_again_after_disconnect(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        await client.disconnect()
        await soon(client.connect())
        call = begin(client)
        await (await server.request()).reply("again")

        assert await soon(call) == "again"

    async def test_tokens_after_the_first_come_from_get_token(self, server: FakeCentrifugo, connect: Connect) -> None:
        expiring = {"connect": {"client": "c", "version": "1", "expires": True, "ttl": 0.01}}
        server.connected = lambda _: expiring

        async def get_token() -> str:
            return "token-2"

        await connect(get_token=get_token)
        await until(lambda: server.refreshes)

        assert server.connects[0]["token"] == "token-1"
        assert server.refreshes[0]["token"] == "token-2"


class TestPublish:
    async def test_the_request(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client, "tasks.get", {"n": 1}, timeout=7)
        request = await server.request()
        data = dict(request.data)

        assert request.command["publish"]["channel"] == "rpc.requests"
        assert len(bytes.fromhex(data.pop("correlation_id"))) == 16
        assert 0 < data.pop("timeout_ms") <= 7000
        assert data == {"method": "tasks.get", "params": {"n": 1}, "reply_to": "user#42"}
        await request.reply({"total": 3})
        assert await soon(call) == {"total": 3}

    @pytest.mark.parametrize("order", ["ack first", "reply first", "one frame", "never acknowledged"])
    async def test_either_order(self, server: FakeCentrifugo, connect: Connect, order: str) -> None:
        call = begin(await connect())
        request = await server.request()
        pub = {"push": {"channel": "user#42", "pub": {"data": {"correlation_id": request.id, "result": 5}}}}
        ack = {"id": request.command["id"], "publish": {}}
        frames = {"ack first": [[ack], [pub]], "reply first": [[pub], [ack]], "one frame": [[pub, ack]]}
        for frame in frames.get(order, [[pub]]):
            await request.send(*frame)

        assert await soon(call) == 5

    async def test_error_reply(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect())
        sent = {"code": "task_locked", "message": "Task 999 locked", "details": {"by": "x"}, "retryable": True}
        await (await server.request()).reply(error={**sent, "retry_after": 2.5})
        error = await failure(call)

        assert str(error) == "Task 999 locked"
        assert (error.code, error.details, error.retryable, error.retry_after) == ("task_locked", {"by": "x"}, True, 2.5)

    @pytest.mark.parametrize(
        ("number", "code"),
        [(1002, "method_not_found"), (1018, "contract_mismatch"), (103, "permission_denied"), (1500, "internal_error")],
    )
    async def test_refused(self, server: FakeCentrifugo, connect: Connect, number: int, code: str) -> None:
        call = begin(await connect())
        await (await server.request()).refuse(number, "no such method")
        error = await failure(call)

        assert (error.code, str(error), error.retryable) == (code, "no such method", False)

    async def test_refused_without_a_message(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client)
        await (await server.request()).refuse(103, None)

        assert (await failure(call)).code == "internal_error"
        assert client.state == "connected"

    async def test_temporary_errors_are_sent_again(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01))
        first = await server.request()
        await first.refuse(100, "internal server error", temporary=True)
        second = await server.request()
        await second.refuse(111, "too many requests", temporary=True)
        third = await server.request()
        await third.reply("done")

        assert await soon(call) == "done"
        assert first.id == second.id == third.id

    async def test_never_acknowledged_in_four_sends(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01))
        for _ in range(4):
            await (await server.request()).refuse(100, "internal server error", temporary=True)

        assert (await failure(call)).code == "outcome_unknown"
        assert server.requests.empty()

    async def test_refusing_a_repeat_does_not_fail_the_first_copy(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01))
        await (await server.request()).ack()
        for _ in range(3):
            repeat = await server.request()
            await repeat.refuse(1008, "overloaded", temporary=True)
        await repeat.reply("from the first copy")

        assert await soon(call) == "from the first copy"

    async def test_silence_is_answered_with_three_repeats(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01), timeout=0.5)
        requests: list[Request] = []
        for _ in range(4):
            requests.append(await server.request())
            await requests[-1].ack()

        assert (await failure(call)).code == "timeout"
        assert server.requests.empty()
        assert len({request.id for request in requests}) == 1
        assert len({json.dumps(request.data["params"]) for request in requests}) == 1
        waits = [request.data["timeout_ms"] for request in requests]
        assert waits == sorted(waits, reverse=True)
        assert waits[0] > waits[-1]

    async def test_no_repeat_without_an_acknowledgement(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01), timeout=0.15)
        await server.request()

        assert (await failure(call)).code == "timeout"
        assert server.requests.empty()

    async def test_a_repeat_has_the_parameters_of_the_call(self, server: FakeCentrifugo, connect: Connect) -> None:
        params = {"tags": ["a"]}
        call = begin(await connect(resend_interval=0.01), params=params)
        first = await server.request()
        params["tags"].append("b")
        await first.ack()
        second = await server.request()

        assert second.data["params"] == {"tags": ["a"]}
        await second.reply(1)
        await soon(call)

    async def test_deadline(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client, timeout=0.05)
        await (await server.request()).ack()
        error = await failure(call)

        assert (error.code, error.retryable) == ("timeout", True)
        assert not client._pending

    async def test_zero_seconds_send_nothing(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()

        assert (await failure(client.call("m", None, timeout=0))).code == "timeout"
        call = begin(client, "next")
        assert (await server.request()).data["method"] == "next"
        call.cancel()

    async def test_cancellation(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client)
        request = await server.request()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(call)

        assert not client._pending
        await request.reply("late")
        await request.ack()
        follower = begin(client)
        await (await server.request()).reply("fine")
        assert await soon(follower) == "fine"

    async def test_finished_calls_keep_no_timer(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        calls = [begin(client) for _ in range(3)]
        pending = [await server.request() for _ in calls]
        await pending[0].ack()
        await until(lambda: any(call.timer for call in client._pending.values()))
        timer = next(call.timer for call in client._pending.values() if call.timer)
        for request in pending:
            await request.reply(1)
            await request.ack()
        await soon(asyncio.gather(*calls))

        assert timer.cancelled()
        await until(lambda: not client._tasks)

    async def test_request_too_large(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect(max_request_bytes=1000)
        error = await failure(client.call("m", {"text": "\u044f" * 200}))

        assert error.code == "validation_error"
        assert "1000 bytes" in str(error)
        assert int(str(error).split(" has ")[1].split()[0]) > 1200  # six ASCII bytes for each letter
        assert client.state == "connected"
        assert server.requests.empty()

    async def test_cap_of_pending_calls(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect(max_pending_calls=2)
        calls = [begin(client) for _ in range(2)]
        requests = [await server.request() for _ in calls]

        assert (await failure(client.call("m", None))).code == "service_unavailable"
        for request in requests:
            await request.reply(1)
        await soon(asyncio.gather(*calls))
        call = begin(client)
        await (await server.request()).reply(2)
        assert await soon(call) == 2

    async def test_200_concurrent_calls(self, server: FakeCentrifugo, connect: Connect) -> None:
        async def echo(request: Request) -> None:
            await request.ack()
            await request.reply(request.data["params"]["n"])

        server.on_request = echo
        clients = [await connect(), await connect()]  # two tabs: each sees the other's replies, too
        calls = [clients[n % 2].call("echo", {"n": n}) for n in range(200)]

        assert await soon(asyncio.gather(*calls)) == list(range(200))


class TestForgeries:
    @pytest.mark.parametrize(
        "forgery",
        [
            {"data": {"correlation_id": "?", "result": "forged"}, "info": {"client": "c", "user": "7"}},
            {"data": {"correlation_id": "f" * 32, "result": "forged"}},
            {"data": {"correlation_id": ["?"], "result": "forged"}},
            {"data": {"correlation_id": None}},
            {"data": ["forged"]},
            {"data": "forged"},
            {"data": None},
        ],
    )
    async def test_dropped(self, server: FakeCentrifugo, connect: Connect, forgery: dict[str, Any]) -> None:
        errors: list[Exception] = []
        call = begin(await connect(on_error=errors.append))
        request = await server.request()
        text = json.dumps(forgery).replace('"?"', json.dumps(request.id))
        await server.push({"channel": "user#42", "pub": json.loads(text)})
        await request.reply("real")

        assert await soon(call) == "real"
        assert errors == []

    async def test_forged_events_are_dropped(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []
        (await connect()).on("task.changed", got.append)
        await server.publish({"event": "task.changed", "data": "forged"}, info={"client": "c", "user": "7"})
        await server.publish({"event": "task.changed", "data": "real"})
        await until(lambda: got)

        assert got == ["real"]

    async def test_the_first_reply_counts(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect())
        request = await server.request()
        replies = [{"correlation_id": request.id, "result": result} for result in ("first", "second")]
        await request.send(*({"push": {"channel": "user#42", "pub": {"data": reply}}} for reply in replies))

        assert await soon(call) == "first"


class TestReconnect:
    async def test_pending_calls_are_sent_again(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        calls = [begin(client), begin(client)]
        first = [await server.request(), await server.request()]
        await first[0].ack()  # the other acknowledgement is lost
        await server.drop()
        second = [await server.request(), await server.request()]

        assert [request.id for request in second] == [request.id for request in first]
        assert len(server.subscribes) == 2
        for request in second:
            await request.reply(request.id)
        assert await soon(asyncio.gather(*calls)) == [request.id for request in first]

    async def test_recovered_replies_are_not_asked_for_again(self, server: FakeCentrifugo, connect: Connect) -> None:
        server.subscribed = recovering
        client = await connect()
        answered, open_call = begin(client), begin(client)
        lost, silent = await server.request(), await server.request()
        missed = {"data": {"correlation_id": lost.id, "result": "recovered"}, "offset": 1}
        server.subscribed = lambda subscribe: recovering(subscribe, missed)
        await server.drop()

        assert await soon(answered) == "recovered"
        again = await server.request()
        assert again.id == silent.id
        await again.reply("asked again")
        assert await soon(open_call) == "asked again"
        assert server.requests.empty()

    async def test_at_most_three_times(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client)
        for _ in range(4):
            request = await server.request()
            await server.drop()
        await until(lambda: len(server.subscribes) == 5 and client.state == "connected")
        marker = begin(client, "marker")
        marked = await server.request()

        assert marked.data["method"] == "marker"
        await marked.reply(1)
        await soon(marker)
        await request.reply("late, but in time")
        assert await soon(call) == "late, but in time"

    async def test_a_call_made_while_reconnecting_waits(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        await server.drop()
        await until(lambda: client.state == "connecting")
        call = begin(client)
        request = await server.request()

        assert len(server.subscribes) == 2
        await request.reply("late")
        assert await soon(call) == "late"

    async def test_its_deadline_holds_while_reconnecting(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        server.connected = lambda _: None
        await server.drop()
        await until(lambda: client.state == "connecting")

        assert (await failure(client.call("m", None, timeout=0.05))).code == "timeout"

    async def test_lost_reply_subscription_alone(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect())
        request = await server.request()
        await server.push({"channel": "user#42", "unsubscribe": {"code": 2500, "reason": "insufficient state"}})
        again = await server.request()

        assert (again.id, len(server.sockets)) == (request.id, 1)
        await again.reply(1)
        assert await soon(call) == 1


class TestEnd:
    @pytest.mark.parametrize("terminal", ["our disconnect", "close code", "disconnect push", "reply channel closed"])
    async def test_pending_calls_fail_with_what_they_were(
        self, server: FakeCentrifugo, connect: Connect, terminal: str
    ) -> None:
        client = await connect()
        sent = begin(client)
        await server.request()
        pushes = {"disconnect push": {"disconnect": {"code": 3503, "reason": "force disconnect"}}}
        pushes["reply channel closed"] = {"channel": "user#42", "unsubscribe": {"code": 2000, "reason": "server"}}
        if terminal == "our disconnect":
            await client.disconnect()
        elif terminal == "close code":
            await server.drop(3503, "force disconnect")
        else:
            await server.push(pushes[terminal])

        assert (await failure(sent)).code == "outcome_unknown"
        await until(lambda: client.state == "disconnected")
        assert (await failure(client.call("m", None))).code == "connection_error"
        await until(lambda: not client_tasks())

    async def test_a_call_never_sent(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        await server.drop()
        await until(lambda: client.state == "connecting")
        call = begin(client)
        await asyncio.sleep(0)
        await client.disconnect()
        error = await failure(call)

        assert (error.code, error.retryable) == ("connection_error", True)
        assert server.requests.empty()

    async def test_a_call_before_connect(self, server: FakeCentrifugo) -> None:
        client = CentrifugoRPCClient(server.url, "t", "42")

        assert (await failure(client.call("m", None))).code == "connection_error"
        assert (await failure(client.subscribe("news", print))).code == "connection_error"
        await client.disconnect()


class TestRpcTransport:
    async def test_bare_params_and_bare_result(self, server: FakeCentrifugo, connect: Connect) -> None:
        calls = [begin(await connect(transport="rpc")), begin(await connect(), transport="rpc")]
        for call in calls:
            request = await server.request()
            assert request.command["rpc"] == {"method": "tasks.get", "data": {"n": 1}}
            await request.ack(data={"total": 3})
            assert await soon(call) == {"total": 3}

    @pytest.mark.parametrize(
        ("number", "temporary", "code"),
        [(100, True, "outcome_unknown"), (1008, True, "service_unavailable"), (104, False, "method_not_found")],
    )
    async def test_errors(
        self, server: FakeCentrifugo, connect: Connect, number: int, temporary: bool, code: str
    ) -> None:
        call = begin(await connect(resend_interval=0.01), transport="rpc")
        await (await server.request()).refuse(number, "why", temporary=temporary)
        error = await failure(call)

        assert error.code == code
        assert "why" in str(error)
        assert server.requests.empty()

    async def test_connection_lost(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect(resend_interval=0.01)
        call = begin(client, transport="rpc")
        await server.request()
        await server.drop()

        assert (await failure(call)).code == "outcome_unknown"
        await until(lambda: client.state == "connected")
        assert server.requests.empty()

    async def test_not_sent_again_when_only_the_channel_was_lost(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(resend_interval=0.01), transport="rpc")
        request = await server.request()
        await server.push({"channel": "user#42", "unsubscribe": {"code": 2500, "reason": "insufficient state"}})
        await until(lambda: len(server.subscribes) == 2)
        await request.ack(data=1)

        assert await soon(call) == 1
        assert server.requests.empty()

    async def test_the_sdks_own_timeout_does_not_cut_it(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        client._client._timeout = 0.01  # stands for its five seconds
        call = begin(client, transport="rpc", timeout=5)
        request = await server.request()
        await asyncio.wait({call}, timeout=0.1)
        await request.ack(data="slow")

        assert await soon(call) == "slow"

    async def test_deadline(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(), transport="rpc", timeout=0.05)
        await server.request()

        assert (await failure(call)).code == "timeout"


class TestHandlers:
    async def test_events(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []

        async def slow(data: Any) -> None:
            await asyncio.sleep(0)
            got.append(("async", data))

        client = await connect()
        client.on("a", lambda data: got.append(("sync", data)))
        remove = client.on("a", slow)
        for n in (1, 2):
            await server.publish({"event": "a", "data": n})
        await server.publish({"event": "nobody", "data": 0})
        await until(lambda: len(got) == 4)
        remove()
        remove()
        await server.publish({"event": "a", "data": 3})
        await until(lambda: len(got) == 5)

        assert got == [("sync", 1), ("async", 1), ("sync", 2), ("async", 2), ("sync", 3)]

    async def test_a_handler_may_call_and_disconnect(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []
        client = await connect()

        async def handler(_: Any) -> None:
            got.append(await client.call("m", None))
            await client.disconnect()
            got.append(client.state)

        client.on("a", handler)
        await server.publish({"event": "a", "data": 1})
        await (await server.request()).reply("called")
        await until(lambda: len(got) == 2)

        assert got == ["called", "disconnected"]

    async def test_exceptions_are_contained(self, server: FakeCentrifugo, connect: Connect) -> None:
        errors: list[Exception] = []
        got: list[Any] = []

        def broken(_: Any) -> None:
            raise ZeroDivisionError("sync")

        async def broken_too(_: Any) -> None:
            raise ZeroDivisionError("async")

        client = await connect(on_error=errors.append, on_state=broken)
        for handler in (broken, broken_too, got.append):
            client.on("a", handler)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: got)

        assert [str(error) for error in errors] == ["sync", "sync", "sync", "async"]  # two states, two handlers
        assert (client.state, len(server.sockets)) == ("connected", 1)

    async def test_without_on_error_they_are_logged(
        self, server: FakeCentrifugo, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = await connect()
        client.on("a", lambda _: 1 / 0)
        with caplog.at_level(logging.ERROR):
            await server.publish({"event": "a", "data": 1})
            await until(lambda: "division by zero" in caplog.text)

        assert client.state == "connected"

    async def test_a_broken_on_error(
        self, server: FakeCentrifugo, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: Any) -> None:
            raise ZeroDivisionError("reporting")

        client = await connect(on_error=broken)
        client.on("a", broken)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: "on_error failed" in caplog.text)

        assert client.state == "connected"

    async def test_the_queue_of_events_is_bounded(
        self, server: FakeCentrifugo, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client.MAX_QUEUED_EVENTS", 2)
        errors: list[Exception] = []
        got: list[Any] = []
        gate = asyncio.Event()

        async def slow(data: Any) -> None:
            got.append(data)
            await gate.wait()

        client = await connect(on_error=errors.append)
        client.on("a", slow)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: got)
        for n in (2, 3, 4):
            await server.publish({"event": "a", "data": n})
        await until(lambda: errors)
        gate.set()
        await until(lambda: len(got) == 3)

        assert got == [1, 2, 3]

    async def test_disconnect_stops_a_running_handler(self, server: FakeCentrifugo, connect: Connect) -> None:
        started = asyncio.Event()

        async def endless(_: Any) -> None:
            started.set()
            await asyncio.Event().wait()

        client = await connect()
        client.on("a", endless)
        await server.publish({"event": "a", "data": 1})
        await soon(started.wait())
        await soon(client.disconnect())
        await until(lambda: not client_tasks())


class TestSubscribe:
    async def test_publications_of_another_channel(self, server: FakeCentrifugo, connect: Connect) -> None:
        client, got = await connect(), []
        unsubscribe = await soon(client.subscribe("data.stream.1", got.append, token="sub-token"))
        await server.publish({"n": 1}, channel="data.stream.1")
        await until(lambda: got)
        await soon(unsubscribe())
        await server.publish({"n": 2}, channel="data.stream.1")
        again: list[Any] = []
        await soon(client.subscribe("data.stream.1", again.append))
        await server.publish({"n": 3}, channel="data.stream.1")
        await until(lambda: again)

        assert (got, again) == ([{"n": 1}], [{"n": 3}])
        assert server.subscribes[1]["token"] == "sub-token"

    async def test_token_from_a_function(self, server: FakeCentrifugo, connect: Connect) -> None:
        tokens = iter(["expired", "fresh"])

        async def token() -> str:
            return next(tokens)

        def check(subscribe: dict[str, Any]) -> dict[str, Any]:
            expired = subscribe.get("token") == "expired"
            return {"error": {"code": 109, "message": "token expired"}} if expired else {"subscribe": {}}

        client = await connect(on_error=lambda _: None)
        server.subscribed = check
        await soon(client.subscribe("news", print, token=token))

        assert [s.get("token") for s in server.subscribes] == [None, "expired", "fresh"]

    async def test_refused(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect(on_error=lambda _: None)
        server.subscribed = lambda _: {"error": {"code": 103, "message": "permission denied"}}
        error = await failure(client.subscribe("secret", print))
        server.subscribed = lambda _: {"subscribe": {}}

        assert (error.code, client.state) == ("unauthorized", "connected")
        await soon(client.subscribe("secret", print))

    async def test_twice(self, connect: Connect) -> None:
        client = await connect()
        await soon(client.subscribe("news", print))

        assert (await failure(client.subscribe("news", print))).code == "validation_error"
        assert (await failure(client.subscribe("user#42", print))).code == "validation_error"

    async def test_ended_by_the_server(self, server: FakeCentrifugo, connect: Connect) -> None:
        errors: list[Exception] = []
        client = await connect(on_error=errors.append)
        await soon(client.subscribe("news", print))
        await server.push({"channel": "news", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}})
        await until(lambda: errors)

        assert "news: server unsubscribe" in str(errors[0])
        await soon(client.subscribe("news", print))

    async def test_the_end_of_the_connection_ends_the_wait(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        server.subscribed = lambda _: None
        waiting = asyncio.create_task(client.subscribe("news", print))
        await until(lambda: len(server.subscribes) == 2)
        await server.drop(3503, "force disconnect")

        assert (await failure(waiting)).code == "connection_error"

    async def test_survives_a_reconnect(self, server: FakeCentrifugo, connect: Connect) -> None:
        client, got = await connect(), []
        await soon(client.subscribe("news", got.append))
        await server.drop()
        await until(lambda: len(server.subscribes) == 4)
        await server.publish({"n": 1}, channel="news")
        await until(lambda: got)

        assert got == [{"n": 1}]
