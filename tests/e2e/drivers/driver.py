"""The Python driver; see README.md. `sys.argv[1]` is the folder that holds the generated package `clients`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])

from clients.python import APIClient, CentrifugoRPCClient
from clients.python.models import EchoParams
from clients.python.rpc_client import RPCError


class Driver:
    def __init__(self) -> None:
        self.clients: dict[str, CentrifugoRPCClient] = {}
        self.states: dict[str, list[str]] = {}
        self.running: dict[int, asyncio.Task[None]] = {}

    def write(self, line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    async def run(self) -> None:
        reader = asyncio.StreamReader(limit=2**24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            self.running[command["id"]] = asyncio.create_task(self.answer(command))

    async def answer(self, command: dict[str, Any]) -> None:
        try:
            self.write({"id": command["id"], "ok": await getattr(self, "do_" + command["op"])(command)})
        except RPCError as error:
            self.write({"id": command["id"], "error": described(error)})
        except asyncio.CancelledError:
            self.write({"id": command["id"], "error": {"code": "cancelled", "message": "cancelled"}})

    async def do_connect(self, c: dict[str, Any]) -> None:
        tokens = list(c.get("tokens", []))

        async def get_token() -> str:
            return tokens.pop(0)

        options: dict[str, Any] = {k: c[k] for k in ("timeout", "transport", "max_request_bytes") if k in c}
        states = self.states.setdefault(c["client"], [])
        client = CentrifugoRPCClient(
            c["url"],
            c["token"],
            c["user_id"],
            get_token=get_token if tokens else None,
            on_state=states.append,
            **options,
        )
        self.clients[c["client"]] = client
        await client.connect()

    async def do_disconnect(self, c: dict[str, Any]) -> None:
        await self.clients[c["client"]].disconnect()

    async def do_call(self, c: dict[str, Any]) -> Any:
        return await self.clients[c["client"]].call(
            c["method"], c["params"], timeout=c.get("timeout"), transport=c.get("transport")
        )

    async def do_many(self, c: dict[str, Any]) -> list[dict[str, Any]]:
        calls = (self.do_call({**c, "params": params}) for params in c["params"])
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return [{"error": described(o)} if isinstance(o, RPCError) else {"ok": o} for o in outcomes]

    async def do_cancel(self, c: dict[str, Any]) -> None:
        self.running[c["of"]].cancel()

    async def do_typed(self, c: dict[str, Any]) -> dict[str, Any]:
        result = await APIClient(self.clients[c["client"]]).echo_say(EchoParams(text=c["text"]))
        return {"text": result.text, "number": result.number, "user_id": result.user_id}

    async def do_on(self, c: dict[str, Any]) -> None:
        self.clients[c["client"]].on(
            c["event"], lambda data: self.write({"event": c["event"], "client": c["client"], "data": data})
        )

    async def do_subscribe(self, c: dict[str, Any]) -> None:
        await self.clients[c["client"]].subscribe(
            c["channel"],
            lambda data: self.write({"channel": c["channel"], "client": c["client"], "data": data}),
            token=c["token"],
        )

    async def do_state(self, c: dict[str, Any]) -> list[str]:
        return self.states[c["client"]]


def described(error: RPCError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": str(error),
        "details": error.details,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
    }


asyncio.run(Driver().run())
