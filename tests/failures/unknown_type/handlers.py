"""A model that names a type which is nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from django_cfg.rpc.router import MessageRouter

if TYPE_CHECKING:
    from nowhere import Missing

router = MessageRouter()


class Params(BaseModel):
    missing: Missing


@router.register("broken.method")
async def handler(conn, params: Params):
    return {}
