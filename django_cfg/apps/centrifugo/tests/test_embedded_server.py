"""The ASGI edge, driven in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from django_cfg.apps.centrifugo.embedded import session
from django_cfg.apps.centrifugo.embedded.backend import FAILED, Api, Publish
from django_cfg.apps.centrifugo.embedded.codes import Disconnect
from django_cfg.apps.centrifugo.embedded.config import Proxy, load_config
from django_cfg.apps.centrifugo.embedded.connection import Message, close_message
from django_cfg.apps.centrifugo.embedded.server import EmbeddedServer
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, ProxyResult, PublishProxyRequest, RPCProxyRequest

from .embedded_world import KEY, NAMESPACES, sign

WAIT_SECONDS = 5


class Backend:
    """Answers a call when its method's gate is open; remembers what happened."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.events: list[str] = []
        self.started_with: Publish | None = None

    async def start(self, publish: Publish, api: Api) -> None:
        self.started_with = publish

    async def drain(self) -> None:
        self.events.append("drain")

    async def close(self) -> None:
        self.events.append("close")

    async def publish(self, request: PublishProxyRequest, proxy: Proxy) -> ProxyAnswer:
        return ProxyAnswer(result=ProxyResult())

    async def rpc(self, request: RPCProxyRequest, proxy: Proxy) -> ProxyAnswer:
        if request.method == "broken":
            raise RuntimeError("a fault of the backend")
        try:
            await self.gates.setdefault(request.method, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        return ProxyAnswer(result=ProxyResult())


async def fallback(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "fallback", "path": scope["path"]})


def new_server(client: dict[str, Any] | None = None, **extra: Any) -> tuple[EmbeddedServer, Backend]:
    backend = Backend()
    config = {
        "client": {"token": {"hmac_secret_key": KEY}, "allowed_origins": ["https://app.test"], **(client or {})},
        "channel": {"namespaces": NAMESPACES},
        "rpc": {"without_namespace": {"proxy_enabled": True}, "proxy": {"timeout": "300s"}},
        "http_api": {"key": "api-key"},
        **extra,
    }
    return EmbeddedServer(load_config(config), backend, fallback), backend


class Socket:
    """The client's end of a WebSocket."""

    def __init__(self, server: EmbeddedServer, **headers: str) -> None:
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        scope: Message = {
            "type": "websocket",
            "path": "/connection/websocket",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self._to_server.put_nowait({"type": "websocket.connect"})
        self.stuck = False
        self.task = asyncio.create_task(server(scope, self._to_server.get, self._take))

    async def _take(self, message: Message) -> None:
        while self.stuck:  # noqa: ASYNC110 - as a transport whose buffer is full
            await asyncio.sleep(0)
        await self.sent.put(message)

    async def next(self) -> Message:
        return await asyncio.wait_for(self.sent.get(), WAIT_SECONDS)

    def say(self, *commands: Any) -> None:
        text = "\n".join(json.dumps(command) for command in commands)
        self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def replies(self, count: int) -> list[Any]:
        got: list[Any] = []
        while len(got) < count:
            got += [json.loads(line) for line in (await self.next())["text"].split("\n")]
        return got

    async def connected(self, user: str = "42") -> Socket:
        assert (await self.next())["type"] == "websocket.accept"
        self.say({"id": 1, "connect": {"token": sign(sub=user)}})
        await self.replies(1)
        return self


async def request(server: EmbeddedServer, path: str, body: bytes = b"{}", **scope: Any) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    given = scope.pop("headers", {"x-api-key": "api-key"})
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    whole = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, **scope}
    await server(whole, receive, send)
    return (sent[0].get("status", 0), sent[-1].get("body", b""))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def test_a_page_of_another_site_is_refused_before_the_handshake() -> None:
    server, _ = new_server()
    refused = Socket(server, origin="https://evil.test", host="here")
    assert (await refused.next())["type"] == "websocket.close"
    for headers in ({"origin": "https://app.test"}, {"origin": "http://here", "host": "here"}, {}):
        socket = Socket(server, **headers)
        assert (await socket.next())["type"] == "websocket.accept"
        socket.leave()
        await socket.task


async def test_after_a_refused_connect_the_connection_is_dropped_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "REFUSED_LINGER_SECONDS", 0.01)
    socket = Socket(new_server()[0])
    assert (await socket.next())["type"] == "websocket.accept"
    socket.say({"id": 1, "connect": {"token": sign(sub="42", exp=1)}})
    assert (await socket.replies(1))[0]["error"]["code"] == 109
    await asyncio.wait_for(socket.task, WAIT_SECONDS)
    assert socket.sent.empty()


async def test_the_api_is_open_to_the_key_alone() -> None:
    server, _ = new_server()
    body = b'{"channel": "open:a", "data": 1}'
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 200),
        ({"headers": {}}, 401),
        ({"headers": {"x-api-key": "api-kez"}}, 401),
        ({"headers": {"authorization": "apikey api-key"}}, 200),
        ({"headers": {"authorization": "bearer api-key"}}, 401),
        ({"headers": {}, "query_string": b"api_key=api-key"}, 200),
        ({"headers": {"x-api-key": "old", "authorization": "apikey api-key"}}, 401),
        ({"headers": {"x-api-key": "old"}, "query_string": b"api_key=api-key"}, 200),
        ({"headers": {}, "query_string": b"api_key=old&api_key=api-key"}, 401),
        ({"method": "GET"}, 405),
    ]
    for scope, status in cases:
        assert (await request(server, "/api/publish", body, **scope))[0] == status
    assert (await request(server, "/api/publish", b"{"))[0] == 400
    assert (await request(server, "/api/publish", b'{"channel": "open:a", "data": "\xff"}'))[0] == 400


async def test_without_a_configured_key_the_api_is_closed() -> None:
    server, _ = new_server(http_api={})
    assert (await request(server, "/api/info", headers={"x-api-key": ""}))[0] == 401
    server, _ = new_server(http_api={"insecure": True})
    assert (await request(server, "/api/info", headers={}))[0] == 200


async def test_everything_else_is_the_projects() -> None:
    server, _ = new_server()
    for path in ("/", "/api", "/api/nope", "/api/publish/x", "/apis/publish"):
        assert (await request(server, path, headers={}))[0] == 0
    assert (await request(server, "/api/nope"))[0] == 404


async def test_slow_calls_hold_up_others_only_without_concurrency() -> None:
    for concurrency, order in [(0, [2, 3]), (16, [3, 2])]:
        server, backend = new_server(client={"concurrency": concurrency})
        backend.gates = {"slow": asyncio.Event(), "fast": asyncio.Event()}
        backend.gates["fast"].set()
        socket = await Socket(server).connected()
        socket.say({"id": 2, "rpc": {"method": "slow"}}, {"id": 3, "rpc": {"method": "fast"}})
        if concurrency:
            first = await socket.replies(1)
            backend.gates["slow"].set()
            got = first + await socket.replies(1)
        else:
            await asyncio.sleep(0)
            backend.gates["slow"].set()
            got = await socket.replies(2)
        assert [reply["id"] for reply in got] == order
        socket.leave()
        await socket.task


async def test_over_the_concurrency_further_commands_wait() -> None:
    server, backend = new_server(client={"concurrency": 2})
    socket = await Socket(server).connected()
    socket.say(*({"id": n, "rpc": {"method": f"m{n}"}} for n in (2, 3, 4)))
    await until(lambda: len(backend.gates) == 2)
    await asyncio.sleep(0)
    assert sorted(backend.gates) == ["m2", "m3"]
    backend.gates["m3"].set()
    assert (await socket.replies(1))[0]["id"] == 3
    await until(lambda: "m4" in backend.gates)
    socket.leave()
    await socket.task


async def test_a_client_that_leaves_takes_its_calls_with_it() -> None:
    server, backend = new_server(client={"concurrency": 16})
    socket = await Socket(server).connected()
    socket.say({"id": 2, "rpc": {"method": "slow"}})
    await until(lambda: "slow" in backend.gates)
    socket.leave()
    await socket.task
    await until(lambda: backend.events == ["cancelled"])
    assert not server._connections  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("method", ["slow", "broken"])
async def test_a_backend_that_fails_is_a_temporary_error(method: str, caplog: pytest.LogCaptureFixture) -> None:
    rpc = {"without_namespace": {"proxy_enabled": True}, "proxy": {"timeout": "10ms"}}
    server, _ = new_server(client={"concurrency": 16}, rpc=rpc)
    socket = await Socket(server).connected()
    socket.say({"id": 2, "rpc": {"method": method}})
    assert FAILED.error is not None
    error = {"code": 100, "message": FAILED.error.message, "temporary": True}
    assert await socket.replies(1) == [{"id": 2, "error": error}]
    assert "rpc proxy" in caplog.text
    socket.leave()
    await socket.task


async def test_a_frame_over_the_limit_is_1009() -> None:
    server, _ = new_server(websocket={"message_size_limit": 200})
    socket = await Socket(server).connected()
    socket.say({"id": 2, "rpc": {"method": "x" * 300}})
    assert await socket.next() == {"type": "websocket.close", "code": 1009, "reason": ""}
    socket.leave()
    await socket.task


async def test_the_end_of_the_server_is_said_to_everybody() -> None:
    server, backend = new_server()
    await server.start()
    assert backend.started_with == server.publish
    known, unknown = await Socket(server).connected(), Socket(server)
    await unknown.next()
    stopping = asyncio.create_task(server.stop())
    for socket in (known, unknown):
        assert await socket.next() == {"type": "websocket.close", "code": 3001, "reason": "shutdown"}
        socket.leave()
    await asyncio.wait_for(stopping, WAIT_SECONDS)
    assert backend.events == ["drain", "close"]
    late = Socket(server)
    assert (await late.next())["type"] == "websocket.close"
    assert (await request(server, "/api/info"))[0] == 503


async def test_a_client_that_does_not_read_is_given_up() -> None:
    server, backend = new_server(websocket={"write_timeout": "10ms"})
    await server.start()
    socket = await Socket(server).connected()
    socket.say({"id": 2, "subscribe": {"channel": "open:a"}})
    await socket.replies(1)
    socket.stuck = True
    assert backend.started_with is not None
    backend.started_with("open:a", b"1")
    await until(lambda: json.loads(server.api("presence", b'{"channel": "open:a"}')[1])["result"]["presence"] == {})
    socket.stuck = False
    assert await socket.next() == {"type": "websocket.close", "code": 3009, "reason": "write error"}
    socket.leave()
    await socket.task


async def test_a_fault_of_the_server_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = new_server()
    socket = await Socket(server).connected()

    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the server")

    monkeypatch.setattr("django_cfg.apps.centrifugo.embedded.commands._run", fail)
    socket.say({"id": 2, "rpc": {"method": "m"}})
    assert await socket.next() == {"type": "websocket.close", "code": 3004, "reason": "internal server error"}
    assert "a fault of the server" in caplog.text
    socket.leave()
    await socket.task


async def test_publishing_from_within_the_process() -> None:
    server, _ = new_server()
    socket = await Socket(server).connected()
    socket.say({"id": 2, "subscribe": {"channel": "plain:a"}})
    await socket.replies(1)
    server.publish("plain:a", b'{"n": 1}')
    assert await socket.replies(1) == [{"push": {"channel": "plain:a", "pub": {"data": {"n": 1}}}}]
    assert server.api("info", b"{}")[0] == 200
    socket.leave()
    await socket.task


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (Disconnect(4500, "bye"), (4500, "bye")),
        (Disconnect(0, ""), (3503, "force disconnect")),
        (Disconnect(70000, "x"), (3503, "force disconnect")),
        (Disconnect(4500, "é" * 100), (4500, "é" * 61)),
    ],
)
def test_only_closes_that_websocket_allows(asked: Disconnect, sent: tuple[int, str]) -> None:
    message = close_message(asked)
    assert (message["code"], message["reason"]) == sent
