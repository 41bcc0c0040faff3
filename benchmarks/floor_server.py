"""The floor for calls over the client protocol: no checks but pydantic's, nothing recovered, nothing bounded."""

from __future__ import annotations

import asyncio
import json
import sys

from pydantic import BaseModel
from pydantic_core import to_json
from websockets.asyncio.server import ServerConnection, serve


class Params(BaseModel):
    text: str
    number: int = 10


async def talk(socket: ServerConnection) -> None:
    async for frame in socket:
        for line in str(frame).splitlines():
            command = json.loads(line)
            kind = next(key for key in command if key != "id")
            if kind == "publish":
                data = command["publish"]["data"]
                result = Params.model_validate(data["params"])
                pub = {"data": {"correlation_id": data["correlation_id"], "result": result.model_dump()}}
                push = to_json({"push": {"channel": data["reply_to"], "pub": pub}}).decode()
                await socket.send(f'{push}\n{{"id":{command["id"]},"publish":{{}}}}')
            else:
                await socket.send(json.dumps({"id": command["id"], kind: {"client": "floor"}}))


async def main() -> None:
    async with serve(talk, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Future()


asyncio.run(main())
