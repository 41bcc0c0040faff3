"""Methods that use the database."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from pydantic import BaseModel

from django_cfg.apps.centrifugo.decorators import websocket_rpc


class Pause(BaseModel):
    seconds: float = 0.0


class Backend(BaseModel):
    """The number of PostgreSQL's process behind this connection."""

    pid: int


class Rows(BaseModel):
    count: int


def ask(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (number,) = cursor.fetchone()
        return int(number)


@websocket_rpc("backend")
async def backend(conn: Any, params: Pause) -> Backend:
    """Asks twice, with a pause between."""
    await sync_to_async(ask)("SELECT pg_backend_pid()")
    await asyncio.sleep(params.seconds)
    return Backend(pid=await sync_to_async(ask)("SELECT pg_backend_pid()"))


@websocket_rpc("insert_and_fail")
async def insert_and_fail(conn: Any, params: Pause) -> Rows:
    """A row in a transaction that does not end well."""
    return await sync_to_async(_insert_and_fail)()


@transaction.atomic
def _insert_and_fail() -> Rows:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO noted VALUES (1)")
    raise ValueError("changed my mind")


@websocket_rpc("rows")
async def rows(conn: Any, params: Pause) -> Rows:
    return Rows(count=await sync_to_async(ask)("SELECT count(*) FROM noted"))
