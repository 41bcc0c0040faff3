"""Handlers for the end-to-end tests."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from enum import Enum
from typing import Any

from django.contrib.auth.models import User
from pydantic import BaseModel, Field

from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.apps.centrifugo.publish import apublish_to_channel, apublish_to_user
from django_cfg.apps.centrifugo.tokens import create_subscription_token
from django_cfg.errors import RPCError

LEDGER: Counter[str] = Counter()


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


class Address(BaseModel):
    city: str
    zip_codes: list[int] = Field(default_factory=list)


class EchoParams(BaseModel):
    text: str = Field(..., description="Comes back")
    number: int = Field(10, description="Comes back too")
    mood: Mood = Mood.CALM
    address: Address | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    at: datetime | None = None


class EchoResult(BaseModel):
    text: str
    number: int
    mood: Mood
    address: Address | None = None
    tags: dict[str, str]
    at: datetime | None = None
    user_id: str


class SleepParams(BaseModel):
    seconds: float
    key: str = ""


class LedgerParams(BaseModel):
    key: str
    seconds: float = 0.0


class LedgerResult(BaseModel):
    key: str
    runs: int


class PrefixParams(BaseModel):
    prefix: str


class CountsResult(BaseModel):
    counts: dict[str, int]


class KindParams(BaseModel):
    kind: str


class EmptyParams(BaseModel):
    pass


class OkResult(BaseModel):
    ok: bool = True


class PushParams(BaseModel):
    event: str
    data: dict[str, Any] = Field(default_factory=dict)


class StreamResult(BaseModel):
    channel: str
    token: str


class ChannelParams(BaseModel):
    channel: str
    data: dict[str, Any] = Field(default_factory=dict)


class SizeParams(BaseModel):
    size: int


class TextResult(BaseModel):
    text: str


class CountResult(BaseModel):
    count: int


class Locked(RPCError):
    code = "task_locked"


@websocket_rpc("echo.say")
async def echo(conn, params: EchoParams) -> EchoResult:
    """Answer with what came."""
    return EchoResult(**params.model_dump(), user_id=conn.user_id)


@websocket_rpc("echo.sleep")
async def sleep(conn, params: SleepParams) -> OkResult:
    """Answer after a while."""
    await asyncio.sleep(params.seconds)
    return OkResult()


@websocket_rpc("ledger.add")
async def ledger_add(conn, params: LedgerParams) -> LedgerResult:
    """Count that this key has run."""
    LEDGER[params.key] += 1
    await asyncio.sleep(params.seconds)
    return LedgerResult(key=params.key, runs=LEDGER[params.key])


@websocket_rpc("ledger.read")
async def ledger_read(conn, params: PrefixParams) -> CountsResult:
    """How often each key has run."""
    return CountsResult(counts={key: runs for key, runs in LEDGER.items() if key.startswith(params.prefix)})


@websocket_rpc("errors.raise", errors=[Locked])
async def raise_error(conn, params: KindParams) -> OkResult:
    """Fail in the way that is asked for."""
    if params.kind == "value":
        raise ValueError("Task 999 not found")
    if params.kind == "locked":
        raise Locked("somebody edits it", details={"by": "ann"}, retryable=True, retry_after=2.5)
    if params.kind == "secret":
        raise RuntimeError("canary-7f3a in the database")
    return OkResult()


@websocket_rpc("push.me")
async def push_me(conn, params: PushParams) -> OkResult:
    """Push an event to all clients of the caller."""
    await apublish_to_user(conn.user_id, params.event, params.data)
    return OkResult()


@websocket_rpc("stream.open")
async def open_stream(conn, params: EmptyParams) -> StreamResult:
    """Hand out a channel and the token for it."""
    channel = f"data.stream.{conn.user_id}"
    return StreamResult(channel=channel, token=create_subscription_token(conn.user_id, channel))


@websocket_rpc("stream.emit")
async def emit(conn, params: ChannelParams) -> OkResult:
    """Publish to a channel."""
    await apublish_to_channel(params.channel, params.data)
    return OkResult()


@websocket_rpc("big.reply")
async def big_reply(conn, params: SizeParams) -> TextResult:
    """Answer with that many characters."""
    return TextResult(text="x" * params.size)


@websocket_rpc("db.count")
async def count_users(conn, params: EmptyParams) -> CountResult:
    """Ask the database."""
    return CountResult(count=await User.objects.acount())
