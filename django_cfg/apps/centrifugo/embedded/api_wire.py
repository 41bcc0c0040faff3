"""The JSON of Centrifugo's server API (https://centrifugal.dev/docs/server/server_api)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from .codes import Disconnect, ErrorReply
from .protocol import ClientInfo, Int32, Nothing, Opaque, StreamPosition, UInt64
from .tokens import Override


class _Data(msgspec.Struct, frozen=True):
    """`version` above 0 makes the server drop what is not newer. `delta` matters to no client here."""

    data: Opaque = UNSET
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: UInt64 = 0
    version_epoch: str = ""


class Publish(_Data, frozen=True):
    """To one channel."""

    channel: str = ""


class Broadcast(_Data, frozen=True):
    """The same to several channels."""

    channels: list[str] = []


class _Connections(msgspec.Struct, frozen=True):
    """A user's connections, or the one with that client id; nobody here has a session id, so `session` matches none."""

    user: str = ""
    client: str = ""
    session: str = ""


class Subscribe(_Connections, frozen=True):
    """`expire_at` is a Unix time."""

    channel: str = ""
    info: Opaque = UNSET
    data: Opaque = UNSET
    expire_at: int = 0
    recover_since: StreamPosition | None = None
    override: Override = Override()


class Unsubscribe(_Connections, frozen=True):
    """From one channel."""

    channel: str = ""


class DisconnectUser(_Connections, frozen=True):
    """`whitelist` holds client ids to be spared."""

    whitelist: list[str] = []
    disconnect: Disconnect | None = None


class Refresh(_Connections, frozen=True):
    """A new end for connections; `expire_at` is a Unix time, 0 for none."""

    expired: bool = False
    expire_at: int = 0
    info: Opaque = UNSET


class OfChannel(msgspec.Struct, frozen=True):
    """presence, presence_stats and history_remove."""

    channel: str = ""


class History(msgspec.Struct, frozen=True):
    """As from a client, without its limit."""

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class Channels(msgspec.Struct, frozen=True):
    """`pattern` with `*`, `?`, `[abc]` and `{one,other}`; empty for all."""

    pattern: str = ""


class CallMethod(msgspec.Struct, frozen=True):
    """A method of the server itself, of which there is none."""

    method: str = ""


class Batch(msgspec.Struct, frozen=True):
    """Any of the others, each under its method's name."""

    commands: list[BatchCommand] = []
    parallel: bool = False


class BatchCommand(msgspec.Struct, frozen=True):
    """The first that is there counts."""

    publish: Publish | None = None
    broadcast: Broadcast | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Unsubscribe | None = None
    disconnect: DisconnectUser | None = None
    history: History | None = None
    history_remove: OfChannel | None = None
    presence: OfChannel | None = None
    presence_stats: OfChannel | None = None
    info: Nothing | None = None
    rpc: CallMethod | None = None
    refresh: Refresh | None = None
    channels: Channels | None = None


class PublishResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing where history is off."""

    offset: int = 0
    epoch: str = ""


class PublishResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """One channel's part of a broadcast."""

    result: PublishResult | UnsetType = UNSET
    error: ErrorReply | UnsetType = UNSET


class BroadcastResult(msgspec.Struct, frozen=True):
    """In the order of the channels."""

    responses: list[PublishResponse]


class PresenceResult(msgspec.Struct, frozen=True):
    """By client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(msgspec.Struct, frozen=True):
    """Zeros are written."""

    num_clients: int
    num_users: int


class HistoryPublication(msgspec.Struct, frozen=True, omit_defaults=True):
    """Without the epoch, which the result carries."""

    data: msgspec.Raw
    info: ClientInfo | UnsetType = UNSET
    offset: int = 0
    tags: dict[str, str] | UnsetType = UNSET


class HistoryResult(msgspec.Struct, frozen=True):
    """Zeros are written."""

    publications: list[HistoryPublication]
    offset: int
    epoch: str


class ChannelInfo(msgspec.Struct, frozen=True):
    """How many connections are subscribed."""

    num_clients: int


class ChannelsResult(msgspec.Struct, frozen=True):
    """Channels that somebody is subscribed to."""

    channels: dict[str, ChannelInfo]


class NodeInfo(msgspec.Struct, frozen=True):
    """`uptime` in seconds."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int


class InfoResult(msgspec.Struct, frozen=True):
    """One node: this one."""

    nodes: list[NodeInfo]


Result = (
    PublishResult
    | BroadcastResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
    | ChannelsResult
    | InfoResult
    | Nothing
)
