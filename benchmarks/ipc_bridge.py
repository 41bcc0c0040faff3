"""`python ipc_bridge.py REDIS_URL`, by a Python that has django-ipc 1.0.9: its own server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from django_ipc.bridge import RPCBridge


async def echo(params: Any) -> Any:
    return params


async def serve(url: str) -> None:
    bridge = RPCBridge(redis_url=url, request_stream="bench:ipc")
    bridge.register_method("notes.echo", echo)
    await bridge.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(serve(sys.argv[1]))
