"""What the processes answer; each run is a line of the file that the environment names."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.rpc.router import get_global_router


class Work(BaseModel):
    name: str = ""
    seconds: float = 0.0


class Done(BaseModel):
    name: str
    pid: int


def note(line: str) -> None:
    with Path(os.environ["SITE_LEDGER"]).open("a") as ledger:
        ledger.write(f"{line}\n")


@websocket_rpc("work")
async def work(conn: Any, params: Work) -> Done:
    """Takes some time."""
    note(params.name)
    await asyncio.sleep(params.seconds)
    return Done(name=params.name, pid=os.getpid())


@websocket_rpc("work_again", idempotent=True)
async def work_again(conn: Any, params: Work) -> Done:
    """May run twice: only its first run takes time."""
    note(params.name)
    if not conn.meta["delivery_count"] > 1:
        await asyncio.sleep(params.seconds)
    return Done(name=params.name, pid=os.getpid())


@get_global_router().register("leave_a_thread")
async def leave_a_thread(conn: Any, params: Any) -> None:
    """Leaves one behind that does not return."""
    threading.Thread(target=time.sleep, args=(600,)).start()


@get_global_router().register("suicide")
async def suicide(conn: Any, params: Any) -> None:
    """Kills whoever runs it."""
    note("suicide")
    os._exit(9)
