"""Connecting, reconnecting and the end of the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient
from tests.python_runtime.fake_centrifugo import FakeCentrifugo, soon, until
from tests.python_runtime.harness import Connect, begin, client_tasks, failure


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
        errors: list[Exception] = []
        client = CentrifugoRPCClient("ws://127.0.0.1:1/", "t", "42", on_error=errors.append)
        error = await failure(client.connect())

        assert (error.code, errors) == ("connection_error", [])
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

    async def test_twice_at_once_and_when_connected(self, server: FakeCentrifugo) -> None:
        client = CentrifugoRPCClient(server.url, "t", "42")
        await soon(asyncio.gather(client.connect(), client.connect()))
        await soon(client.connect())

        assert (server.kinds, client.state) == (["connect", "subscribe"], "connected")
        await client.disconnect()

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


class TestReconnect:
    async def test_pending_calls_are_sent_again(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        calls = [begin(client), begin(client)]
        first = [await server.request(), await server.request()]
        await first[0].ack()  # the other acknowledgement is lost
        await until(lambda: client._pending[first[0].id].timer)
        timer = client._pending[first[0].id].timer
        await server.drop()
        second = [await server.request(), await server.request()]

        assert timer is not None
        assert timer.cancelled()
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
        marker = begin(client)
        marked = await server.request()

        assert marked.id != request.id
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
        states: list[str] = []
        client = await connect(on_state=states.append)
        call = begin(client)
        request = await server.request()
        await server.push({"channel": "user#42", "unsubscribe": {"code": 2500, "reason": "insufficient state"}})
        again = await server.request()

        assert (again.id, len(server.sockets), states) == (request.id, 1, ["connecting", "connected"])
        pending = client._pending[request.id]
        await request.ack()
        await until(lambda: pending.timer)
        timer = pending.timer
        await again.ack()
        await until(lambda: pending.timer is not timer)
        assert timer is not None
        assert timer.cancelled()
        await again.reply(1)
        assert await soon(call) == 1

    async def test_a_subscription_lost_at_once_is_not_resumed(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        await server.drop()
        await until(lambda: client.state == "connecting")
        client._resume()

        assert client.state == "connecting"


class TestEnd:
    @pytest.mark.parametrize("terminal", ["our disconnect", "close code", "disconnect push", "reply channel closed"])
    async def test_pending_calls_fail_with_what_they_were(
        self, server: FakeCentrifugo, connect: Connect, terminal: str
    ) -> None:
        client = await connect()
        sent = begin(client)
        await server.request()
        pushes: dict[str, Any] = {
            "disconnect push": {"disconnect": {"code": 3503, "reason": "force disconnect"}},
            "reply channel closed": {"channel": "user#42", "unsubscribe": {"code": 2000, "reason": "server"}},
        }
        if terminal == "our disconnect":
            await client.disconnect()
            assert not client._tasks
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
