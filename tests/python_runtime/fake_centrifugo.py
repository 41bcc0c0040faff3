"""A scripted Centrifugo: answers connect and subscribe by itself, and leaves every publish and rpc to the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WAIT_SECONDS = 10.0
Command = dict[str, Any]


async def soon(awaitable: Any) -> Any:
    """A bound for everything that a test waits for."""
    async with asyncio.timeout(WAIT_SECONDS):
        return await awaitable


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - the conditions lie in the code under test, which has no events for them
            await asyncio.sleep(0.005)


@dataclass
class Request:
    """A publish or rpc command that waits for the test's answer; `data` is what the client sent in it."""

    server: FakeCentrifugo
    socket: ServerConnection
    command: Command

    @property
    def kind(self) -> str:
        return "rpc" if "rpc" in self.command else "publish"

    @property
    def data(self) -> Any:
        return self.command[self.kind]["data"]

    @property
    def id(self) -> str:
        return str(self.data["correlation_id"])

    async def ack(self, **result: Any) -> None:
        await self.send({"id": self.command["id"], self.kind: result})

    async def refuse(self, code: int, message: str | None = "refused", *, temporary: bool = False) -> None:
        error = {"code": code, "message": message, "temporary": temporary}
        shown = {key: value for key, value in error.items() if value}  # as the engine leaves out what is empty
        await self.send({"id": self.command["id"], "error": shown})

    async def reply(self, result: Any = None, **fields: Any) -> None:
        await self.server.publish({"correlation_id": self.id, "result": result, **fields})

    async def send(self, *messages: Any) -> None:
        await self.socket.send("\n".join(json.dumps(message) for message in messages))


@dataclass
class FakeCentrifugo:
    """`connected` and `subscribed` give the reply to that command: a result, an error, None for silence, or `close`."""

    channel: str = "user#42"
    url: str = ""
    connects: list[Command] = field(default_factory=list)
    subscribes: list[Command] = field(default_factory=list)
    refreshes: list[Command] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    requests: asyncio.Queue[Request] = field(default_factory=asyncio.Queue)
    sockets: list[ServerConnection] = field(default_factory=list)
    open: set[ServerConnection] = field(default_factory=set)
    connected: Callable[[Command], Command | None] = lambda _: {"connect": {"client": "c", "version": "1"}}
    subscribed: Callable[[Command], Command | None] = lambda _: {"subscribe": {}}
    on_request: Callable[[Request], Any] | None = None

    async def request(self) -> Request:
        return await soon(self.requests.get())  # type: ignore[no-any-return]

    async def publish(self, data: Any, *, channel: str | None = None, **fields: Any) -> None:
        await self.push({"channel": channel or self.channel, "pub": {"data": data, **fields}})

    async def push(self, push: Command) -> None:
        for socket in tuple(self.open):
            await socket.send(json.dumps({"push": push}))

    async def drop(self, code: int = 3012, reason: str = "no pong") -> None:
        for socket in tuple(self.open):
            await socket.close(code, reason)

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.open.add(socket)
        try:
            async for frame in socket:
                for line in str(frame).splitlines():
                    await self.answer(socket, json.loads(line))
        except ConnectionClosed:
            return  # dropped by the test
        finally:
            self.open.discard(socket)

    async def answer(self, socket: ServerConnection, command: Command) -> None:
        self.kinds.extend(kind for kind in command if kind != "id")
        if "publish" in command or "rpc" in command:
            request = Request(self, socket, command)
            if self.on_request is None:
                self.requests.put_nowait(request)
            else:
                await self.on_request(request)
            return
        if "connect" in command:
            self.connects.append(command["connect"])
            reply = self.connected(command["connect"])
        elif "subscribe" in command:
            self.subscribes.append(command["subscribe"])
            reply = self.subscribed(command["subscribe"])
        elif "refresh" in command:
            self.refreshes.append(command["refresh"])
            reply = {"refresh": {}}
        else:
            reply = {kind: {} for kind in command if kind != "id"}
        if reply and "close" in reply:
            await socket.close(*reply["close"])
        elif reply is not None:
            await socket.send(json.dumps({"id": command["id"], **reply}))


@asynccontextmanager
async def fake_centrifugo() -> AsyncIterator[FakeCentrifugo]:
    server = FakeCentrifugo()
    async with serve(server.handle, "127.0.0.1", 0, max_size=None, close_timeout=0.2) as listener:
        server.url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/connection/websocket"
        yield server
