"""Handlers of events and of other channels."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.python_runtime.fake_centrifugo import FakeCentrifugo, soon, until
from tests.python_runtime.harness import Connect, failure


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

    async def test_exceptions_of_the_client_itself_are_contained(
        self, server: FakeCentrifugo, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        errors: list[Exception] = []
        client = await connect(on_error=errors.append)
        monkeypatch.setattr(client, "_handlers", None)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: errors)

        assert isinstance(errors[0], AttributeError)
        assert client.state == "connected"

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
        log: list[Any] = []

        async def endless(data: Any) -> None:
            log.append(data)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                log.append("stopped")

        client = await connect()
        client.on("a", endless)
        for n in (1, 2):
            await server.publish({"event": "a", "data": n})
        await until(lambda: log)
        await soon(client.disconnect())

        assert log == [1, "stopped"]

    async def test_a_handler_removed_before_its_turn(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []
        client = await connect()
        client.on("a", lambda _: remove())
        remove = client.on("a", got.append)
        client.on("a", lambda _: got.append("last"))
        await server.publish({"event": "a", "data": 1})
        await until(lambda: "last" in got)

        assert got == ["last"]

    async def test_a_handler_may_be_registered_twice(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []
        client = await connect()
        remove, _ = client.on("a", got.append), client.on("a", got.append)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: len(got) == 2)
        remove()
        remove()
        await server.publish({"event": "a", "data": 2})
        await server.publish({"event": "a", "data": 3})
        await until(lambda: 3 in got)

        assert got == [1, 1, 2, 3]

    async def test_what_a_handler_waits_for_may_be_cancelled(self, server: FakeCentrifugo, connect: Connect) -> None:
        got: list[Any] = []

        async def wait_for_cancelled(_: Any) -> None:
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

        client = await connect()
        client.on("a", wait_for_cancelled)
        client.on("a", got.append)
        await server.publish({"event": "a", "data": 1})
        await until(lambda: got)

        assert got == [1]


class TestSubscribe:
    async def test_publications_of_another_channel(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        got: list[Any] = []
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

    async def test_what_waits_when_it_is_unsubscribed_is_dropped(
        self, server: FakeCentrifugo, connect: Connect
    ) -> None:
        got: list[Any] = []
        gate = asyncio.Event()

        async def slow(data: Any) -> None:
            got.append(data)
            await gate.wait()

        client = await connect()
        unsubscribe = await soon(client.subscribe("news", slow))
        for data in ("first", "second"):
            await server.publish(data, channel="news")
        await until(lambda: got and client._queue._waiting)
        await soon(unsubscribe())
        gate.set()
        await until(lambda: not client._queue._waiting)

        assert got == ["first"]

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
        errors: list[Exception] = []
        client = await connect(on_error=errors.append)
        server.subscribed = lambda _: {"error": {"code": 103, "message": "permission denied"}}
        error = await failure(client.subscribe("secret", print))
        server.subscribed = lambda _: {"subscribe": {}}

        assert (error.code, client.state) == ("unauthorized", "connected")
        await (await soon(client.subscribe("secret", print)))()
        assert errors == []  # what is raised, or asked for, is not reported as well

    async def test_two_at_once(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        server.subscribed = lambda subscribe: {"subscribe": {}} if subscribe["channel"] == "fast" else None
        slow = asyncio.create_task(client.subscribe("slow", print))
        await until(lambda: len(server.subscribes) == 2)
        await soon(client.subscribe("fast", print))
        await asyncio.wait({slow}, timeout=0.02)

        assert not slow.done()
        slow.cancel()

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
        client = await connect()
        got: list[Any] = []
        await soon(client.subscribe("news", got.append))
        await server.drop()
        await until(lambda: len(server.subscribes) == 4)
        await server.publish({"n": 1}, channel="news")
        await until(lambda: got)

        assert got == [{"n": 1}]
