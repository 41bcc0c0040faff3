"""A client without an SDK, which may send whatever it likes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.servers import Servers


class RawClient:
    """Keeps every message that nobody has asked for yet."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._kept: list[dict[str, Any]] = []

    @property
    def unclaimed(self) -> list[dict[str, Any]]:
        """What has come and answered nothing."""
        return self._kept

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to this command."""
        await self._socket.send(json.dumps(command))
        return await self._first(lambda message: message.get("id") == command["id"])

    async def reply(self, correlation_id: str) -> tuple[str, dict[str, Any]]:
        """Channel and data of the reply to a call."""
        message = await self._first(
            lambda m: m.get("push", {}).get("pub", {}).get("data", {}).get("correlation_id") == correlation_id
        )
        return message["push"]["channel"], message["push"]["pub"]["data"]

    async def _first(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not (found := [message for message in self._kept if wanted(message)]):
            frame = await asyncio.wait_for(self._socket.recv(), 10)
            self._kept += [json.loads(line) for line in frame.splitlines()]
        self._kept.remove(found[0])
        return found[0]


@contextlib.asynccontextmanager
async def raw_client(site: Servers, user: str, *channels: str) -> AsyncIterator[RawClient]:
    """Connected as `user`, and subscribed."""
    async with connect(site.url) as socket:
        client = RawClient(socket)
        await client.ask({"id": 1, "connect": {"token": site.token(user)}})
        for number, channel in enumerate(channels, start=1001):
            await client.ask({"id": number, "subscribe": {"channel": channel}})
        yield client
