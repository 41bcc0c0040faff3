from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from django_cfg.rpc.router import get_global_router


class Note(BaseModel):
    user_id: str
    title: str
    message: str
    number: int = 0


@get_global_router().register("notes.echo")
async def echo(conn: Any, params: Note) -> Note:
    return params
