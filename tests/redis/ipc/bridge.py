"""`python bridge.py REDIS_URL`, by a Python that has django-ipc: its bridge, which prints what it runs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from django_ipc.bridge import RPCBridge
from pydantic import BaseModel


class Typed(BaseModel):
    message: str


async def echo(params: Any) -> Any:
    return params


async def typed(params: Any) -> Typed:
    """The bridge hands a handler plain data, whatever it asks for."""
    return Typed.model_validate(params)


async def boom(params: Any) -> Any:
    raise ValueError("insufficient funds")


async def silent(params: Any) -> Any:
    """Its bridge finds no words for this one, and does not answer."""
    raise NotImplementedError


async def noted(params: Any) -> Any:
    print(json.dumps(params), flush=True)  # noqa: T201 - the test reads it
    return {}


async def serve(url: str) -> None:
    bridge = RPCBridge(redis_url=url)
    for handler in (echo, typed, boom, silent, noted):
        bridge.register_method(handler.__name__, handler)
    await bridge.start()
    print("serving", flush=True)  # noqa: T201
    await asyncio.Event().wait()


asyncio.run(serve(sys.argv[1]))
