"""Centrifugo's client protocol v2 in JSON: one object per line, opaque payloads kept as the bytes they came in."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .codes import ErrorReply, Unsubscribe
from .json_text import decode_first_json, is_utf8

UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Opaque = Raw | UnsetType
"""JSON text that nobody here reads, or nothing."""


class StreamPosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a channel's history: offsets count from 1 within an epoch."""

    offset: UInt64 = 0
    epoch: str = ""


class SubscribeRequest(msgspec.Struct, frozen=True):
    """`recover` with a position asks for what was missed since; `token` is a subscription token.

    `delta` names a compression and `tf` filters by tags; neither is ever granted here.
    """

    channel: str = ""
    token: str = ""
    flag: int = 0
    recover: bool = False
    epoch: str = ""
    offset: UInt64 = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: dict[str, Any] | None = None


class ConnectRequest(msgspec.Struct, frozen=True):
    """`subs` asks for the recovery of server-side subscriptions, by channel."""

    token: str = ""
    subs: dict[str, SubscribeRequest] = msgspec.field(default_factory=dict[str, SubscribeRequest])


class ChannelRequest(msgspec.Struct, frozen=True):
    """unsubscribe, presence and presence_stats."""

    channel: str = ""


class TokenRequest(msgspec.Struct, frozen=True):
    """refresh, and sub_refresh with its channel."""

    channel: str = ""
    token: str = ""


class PublishRequest(msgspec.Struct, frozen=True):
    """A client's publication; it carries neither tags nor an idempotency key."""

    channel: str = ""
    data: Opaque = UNSET


class RPCRequest(msgspec.Struct, frozen=True):
    """A call of a method by the connection itself."""

    method: str = ""
    data: Opaque = UNSET


class HistoryRequest(msgspec.Struct, frozen=True):
    """`limit` 0 asks for the position alone, a negative one for as much as is allowed."""

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class Nothing(msgspec.Struct, frozen=True):
    """An object without fields."""


class Command(msgspec.Struct, frozen=True):
    """One line from a client; the first kind that is present counts, `{}` is the answer to a ping."""

    id: UInt32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: ChannelRequest | None = None
    publish: PublishRequest | None = None
    presence: ChannelRequest | None = None
    presence_stats: ChannelRequest | None = None
    history: HistoryRequest | None = None
    rpc: RPCRequest | None = None
    send: Nothing | None = None
    refresh: TokenRequest | None = None
    sub_refresh: TokenRequest | None = None


class ClientInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who published, joined or is present: `conn_info` from the connection token, `chan_info` from the subscription."""

    user: str = ""
    client: str = ""
    conn_info: Opaque = UNSET
    chan_info: Opaque = UNSET


class Publication(msgspec.Struct, frozen=True, omit_defaults=True):
    """`offset` only where history is on; `epoch` only in the first publication of a stream."""

    data: Raw
    info: ClientInfo | UnsetType = UNSET
    offset: int = 0
    tags: dict[str, str] | UnsetType = UNSET
    epoch: str = ""


class SubscribeResult(msgspec.Struct, omit_defaults=True):
    """`offset` is the newest, or the one asked from when publications were recovered."""

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[Publication] | UnsetType = UNSET
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: Opaque = UNSET
    was_recovering: bool = False


class ConnectResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ttl` and `ping` in seconds."""

    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    subs: dict[str, SubscribeResult] | UnsetType = UNSET
    ping: int = 0
    pong: bool = False


class TTLResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """refresh and sub_refresh; `ttl` in seconds."""

    expires: bool = False
    ttl: int = 0


class PresenceResult(msgspec.Struct, frozen=True):
    """Clients by their id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many connections of how many users."""

    num_clients: int = 0
    num_users: int = 0


class HistoryResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked for, and the newest position."""

    publications: list[Publication]
    epoch: str = ""
    offset: int = 0


class RPCResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The backend's answer."""

    data: Opaque = UNSET


Result = (
    ConnectResult
    | SubscribeResult
    | TTLResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
    | RPCResult
    | Nothing
)


class Reply(msgspec.Struct, omit_defaults=True):
    """The answer to one command: `error`, or the result under the command's own kind."""

    id: int
    error: ErrorReply | UnsetType = UNSET
    connect: ConnectResult | UnsetType = UNSET
    subscribe: SubscribeResult | UnsetType = UNSET
    unsubscribe: Nothing | UnsetType = UNSET
    publish: Nothing | UnsetType = UNSET
    presence: PresenceResult | UnsetType = UNSET
    presence_stats: PresenceStatsResult | UnsetType = UNSET
    history: HistoryResult | UnsetType = UNSET
    rpc: RPCResult | UnsetType = UNSET
    refresh: TTLResult | UnsetType = UNSET
    sub_refresh: TTLResult | UnsetType = UNSET


class Membership(msgspec.Struct, frozen=True):
    """A join or a leave."""

    info: ClientInfo


class SubscribePush(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server has subscribed this connection."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Opaque = UNSET


class Push(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the server says unasked; one of the fields after `channel`."""

    channel: str = ""
    pub: Publication | UnsetType = UNSET
    join: Membership | UnsetType = UNSET
    leave: Membership | UnsetType = UNSET
    subscribe: SubscribePush | UnsetType = UNSET
    unsubscribe: Unsubscribe | UnsetType = UNSET
    refresh: TTLResult | UnsetType = UNSET


class _Envelope(msgspec.Struct, frozen=True):
    push: Push


PING = b"{}"

_encoder = msgspec.json.Encoder()
_commands = msgspec.json.Decoder(Command)


def decode_command(line: bytes) -> Command | None:
    """None for what is no command: not JSON, not UTF-8, wrong types, nested too deep."""
    return decode_first_json(line, _commands) if is_utf8(line) else None


def split_frame(frame: bytes) -> list[bytes]:
    """The lines of one WebSocket message, which may end with a newline."""
    lines = frame.split(b"\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def encode_push(push: Push) -> bytes:
    """One line, without its newline."""
    return _encoder.encode(_Envelope(push))


def encode_reply(command_id: int, kind: str, result: Result | ErrorReply) -> bytes:
    """One line, without its newline; `kind` is the command's own, or `error`."""
    reply = Reply(command_id)
    setattr(reply, kind, result)
    return _encoder.encode(reply)
