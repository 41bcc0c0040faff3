"""Names that meet one another, keywords, and what the clients call themselves."""

import enum

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()


class Left:
    class Item(BaseModel):
        left: int


class Right:
    class Item(BaseModel):
        right: int


class Promise(BaseModel):
    class_: str = Field(alias="class")
    dump: str = Field(alias="model_dump")
    json_: str = Field(alias="json")
    type: str
    func: str
    d: str
    self: str
    range: str
    Left: int = 1
    Promise: int = 1


Raw = TypedDict("Raw", {"x-dashed": str, "_id": int, "id": int, "1st": int, "Üml": str, "ID": str})


class lower(BaseModel):
    raw: Raw


class RPCError(str, enum.Enum):
    name = "name"
    lower = "lower"
    LOWER = "LOWER"
    class_ = "class"


class Result(BaseModel):
    left: Left.Item
    right: Right.Item
    error: RPCError


@router.register("tasks.get_stats")
async def first(conn, params: Promise) -> Result:
    raise NotImplementedError


@router.register("tasks_get.stats")
async def second(conn, params: lower) -> Result:
    raise NotImplementedError


for wire in ("connect", "on", "import", "then", "list-all", "users.v2.get", "a", "_private", "Getter"):
    router.register_handler(wire, first)
