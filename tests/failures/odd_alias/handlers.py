"""A wire name that a struct tag of Go cannot hold."""

from pydantic import BaseModel, Field

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()


class Params(BaseModel):
    quoted: str = Field(alias='a"`b')


@router.register("broken.method")
async def handler(conn, params: Params):
    return {}
