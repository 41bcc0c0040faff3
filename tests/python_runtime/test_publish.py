"""Calls published to the request channel, and what others publish on the reply channel."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import _Call
from tests.python_runtime.fake_centrifugo import FakeCentrifugo, Request, soon, until
from tests.python_runtime.harness import Connect, begin, failure


class TestPublish:
    async def test_the_request(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        call = begin(client, timeout=7)
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
        assert (error.code, error.details) == ("task_locked", {"by": "x"})
        assert (error.retryable, error.retry_after) == (True, 2.5)

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

    async def test_refusing_a_repeat_does_not_fail_the_first_copy(
        self, server: FakeCentrifugo, connect: Connect
    ) -> None:
        call = begin(await connect(resend_interval=0.01))
        await (await server.request()).ack()
        for _ in range(3):
            repeat = await server.request()
            await repeat.refuse(1008, "overloaded", temporary=True)
        await asyncio.wait({call}, timeout=0.05)  # long enough for the last refusal to be handled
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

    async def test_a_late_refusal(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        client._client._timeout = 0.01  # stands for the SDK's five seconds
        call = begin(client)
        request = await server.request()
        await asyncio.wait({call}, timeout=0.1)
        await request.refuse(1002, "no such method")

        assert (await failure(call)).code == "method_not_found"

    async def test_overtaken_between_the_decision_to_send_and_the_sending(self, connect: Connect) -> None:
        client, loop = await connect(), asyncio.get_running_loop()
        late = _Call({}, loop.time() - 1, "publish", loop.create_future())
        await client._send(late)
        offline = _Call({}, loop.time() + 1, "publish", loop.create_future())
        client.state = "connecting"
        await client._send(offline)

        assert (late.sends, offline.sends) == (0, 0)

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
        call = begin(client)
        await (await server.request()).reply("the first that was sent")
        assert await soon(call) == "the first that was sent"

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

    @pytest.mark.parametrize(
        "options",
        [{"timeout": float("inf")}, {"timeout": float("nan")}, {"transport": "RPC"}, {"params": {"a": object()}}],
    )
    async def test_what_cannot_be_is_refused_before_it_is_sent(
        self, server: FakeCentrifugo, connect: Connect, options: dict[str, Any]
    ) -> None:
        client = await connect()

        assert (await failure(client.call("m", **options))).code == "validation_error"
        assert server.requests.empty()

    async def test_params_that_are_no_object_are_the_servers_to_refuse(
        self, server: FakeCentrifugo, connect: Connect
    ) -> None:
        client = await connect()
        calling = asyncio.create_task(client.call("m", [1]))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        assert (await server.request()).data["params"] == [1]
        calling.cancel()

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
