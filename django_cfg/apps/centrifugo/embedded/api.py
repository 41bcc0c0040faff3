"""Pure: the server API. A method's name and a JSON body in, an HTTP status and a JSON body out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from . import codes
from .api_wire import (
    Batch,
    BatchCommand,
    Broadcast,
    BroadcastResult,
    CallMethod,
    ChannelInfo,
    Channels,
    ChannelsResult,
    DisconnectUser,
    History,
    HistoryPublication,
    HistoryResult,
    InfoResult,
    NodeInfo,
    OfChannel,
    PresenceResult,
    PresenceStatsResult,
    Publish,
    PublishResponse,
    PublishResult,
    Refresh,
    Result,
    Subscribe,
    Unsubscribe,
)
from .channels import ChannelRules
from .codes import ErrorReply
from .globs import compile_glob
from .history import Version
from .json_text import decode_base64_json, decode_json, is_utf8
from .node import VERSION, Node
from .protocol import (
    Nothing,
    Opaque,
    Push,
    SubscribeRequest,
    TTLResult,
    encode_push,
)
from .session import Session
from .subscribing import subscribe_by_server
from .subscription import capped, subscribe_options

Request = Any
_Handler = Callable[[Node, Request, float], Result | ErrorReply]

_HTTP_STATUS = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}


def execute(node: Node, method: str, body: bytes, now: float, *, error_status: bool = False) -> tuple[int, bytes]:
    """Status and body; `method` is one of METHODS. With `error_status` an error sets the status instead of 200."""
    decoder, handler = METHODS[method]
    request = decode_json(body, decoder) if is_utf8(body) else None
    if request is None:
        return 400, b"Bad Request"
    if isinstance(request, Batch):
        return 200, msgspec.json.encode({"replies": [_batched(node, command, now) for command in request.commands]})
    outcome = handler(node, request, now)
    if not isinstance(outcome, ErrorReply):
        return 200, msgspec.json.encode({"result": outcome})
    if error_status:
        return _HTTP_STATUS.get(outcome.code, 500), msgspec.json.encode(outcome)
    return 200, msgspec.json.encode({"error": outcome})


def publish(node: Node, request: Publish, now: float) -> PublishResult | ErrorReply:
    """Publishes to one channel; nobody's permission is asked."""
    return _publish(node, request.channel, request, now)


def _batched(node: Node, command: BatchCommand, now: float) -> dict[str, Result | ErrorReply]:
    for method in BatchCommand.__struct_fields__:
        request = getattr(command, method)
        if request is not None:
            outcome = METHODS[method][1](node, request, now)
            return {"error" if isinstance(outcome, ErrorReply) else method: outcome}
    return {"error": codes.API_NOT_FOUND}


def _publish(node: Node, channel: str, request: Publish | Broadcast, now: float) -> PublishResult | ErrorReply:
    data = _data(request)
    if not channel or data is None:
        return codes.BAD_REQUEST
    rules = node.rulebook.rules(channel)
    if rules is None:
        return codes.UNKNOWN_CHANNEL
    if not node.rulebook.valid_data(data, rules.options):
        return codes.BAD_REQUEST
    position = node.hub.publish(
        channel,
        Raw(b"null") if isinstance(data, UnsetType) else data,
        node.retention(rules.options, skip_history=request.skip_history),
        now,
        tags=request.tags,
        idempotency_key=request.idempotency_key,
        version=Version(request.version, request.version_epoch),
    )
    return PublishResult(position.offset, position.epoch)


def _broadcast(node: Node, request: Broadcast, now: float) -> BroadcastResult | ErrorReply:
    if not request.channels:
        return codes.BAD_REQUEST
    outcomes = [_publish(node, channel, request, now) for channel in request.channels]
    return BroadcastResult(
        [PublishResponse(error=o) if isinstance(o, ErrorReply) else PublishResponse(result=o) for o in outcomes]
    )


def _subscribe(node: Node, request: Subscribe, now: float) -> Nothing | ErrorReply:
    rules = _rules(node, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    meta_ttl = node.rulebook.meta_ttl_seconds(rules.options)
    options = structs.replace(
        subscribe_options(rules.options, meta_ttl, request.override),
        expire_at=request.expire_at,
        info=request.info,
        data=request.data,
    )
    since = request.recover_since
    wanted = SubscribeRequest(request.channel)
    if since is not None:
        wanted = structs.replace(wanted, recover=True, offset=since.offset, epoch=since.epoch)
    errors = [subscribe_by_server(session, wanted, options, now) for session in _sessions(node, request)]
    return codes.API_INTERNAL if any(errors) else Nothing()


def _unsubscribe(node: Node, request: Unsubscribe, now: float) -> Nothing | ErrorReply:
    if request.channel and node.rulebook.rules(request.channel) is None:
        return codes.UNKNOWN_CHANNEL
    for session in _sessions(node, request):
        session.drop_subscription(request.channel)
        session.push_unsubscribe(request.channel, codes.UNSUBSCRIBE_SERVER)
    return Nothing()


def _disconnect(node: Node, request: DisconnectUser, now: float) -> Nothing:
    disconnect = request.disconnect or codes.FORCE_DISCONNECT
    for session in _sessions(node, request):
        if session.id not in request.whitelist:
            session.close(disconnect)
    return Nothing()


def _refresh(node: Node, request: Refresh, now: float) -> Nothing:
    expire_at = capped(max(request.expire_at, 0), now)
    ttl = expire_at - int(now) if expire_at else 0
    for session in _sessions(node, request):
        if request.expired or (expire_at and ttl <= 0):
            session.close(codes.CONNECTION_EXPIRED)
            continue
        if expire_at and request.info is not UNSET:
            session.info = request.info
        session.expire_at_time(expire_at, now)
        session.send(encode_push(Push(refresh=TTLResult(expires=ttl > 0, ttl=ttl))))
    return Nothing()


def _presence(node: Node, request: OfChannel, now: float) -> PresenceResult | ErrorReply:
    rules = _rules(node, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    return PresenceResult(node.hub.presence(request.channel)) if rules.options.presence else codes.NOT_AVAILABLE


def _presence_stats(node: Node, request: OfChannel, now: float) -> PresenceStatsResult | ErrorReply:
    outcome = _presence(node, request, now)
    if isinstance(outcome, ErrorReply):
        return outcome
    return PresenceStatsResult(len(outcome.presence), len({info.user for info in outcome.presence.values()}))


def _history(node: Node, request: History, now: float) -> HistoryResult | ErrorReply:
    rules = _rules(node, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    if not rules.options.has_history:
        return codes.NOT_AVAILABLE
    if request.reverse and request.since is not None and not request.since.offset:
        return codes.API_INTERNAL
    publications, newest, error = node.hub.history(
        request.channel,
        now,
        node.rulebook.meta_ttl_seconds(rules.options),
        since=request.since,
        limit=request.limit,
        reverse=request.reverse,
    )
    plain = [HistoryPublication(p.data, p.info, p.offset, p.tags) for p in publications]
    return error or HistoryResult(plain, newest.offset, newest.epoch)


def _history_remove(node: Node, request: OfChannel, now: float) -> Nothing | ErrorReply:
    rules = _rules(node, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    if not rules.options.has_history:
        return codes.NOT_AVAILABLE
    node.hub.remove_history(request.channel)
    return Nothing()


def _channels(node: Node, request: Channels, now: float) -> ChannelsResult | ErrorReply:
    try:
        pattern = compile_glob(request.pattern or "*")
    except ValueError:
        return codes.API_INTERNAL
    found = {name: state for name, state in node.hub.channels.items() if pattern.fullmatch(name)}
    return ChannelsResult({name: ChannelInfo(len(state.subscribers)) for name, state in found.items()})


def _info(node: Node, request: Nothing, now: float) -> InfoResult:
    channels = node.hub.channels.values()
    return InfoResult(
        [
            NodeInfo(
                uid=node.uid,
                name=VERSION,
                version=VERSION,
                num_clients=sum(len(sessions) for sessions in node.users.values()),
                num_users=len(node.users),
                num_subs=sum(len(state.subscribers) for state in channels),
                num_channels=len(channels),
                uptime=int(now - node.started_at),
            )
        ]
    )


def _call_method(node: Node, request: CallMethod, now: float) -> ErrorReply:
    return codes.API_NOT_FOUND if request.method else codes.BAD_REQUEST


def _no_batch(node: Node, request: Batch, now: float) -> ErrorReply:
    return codes.BAD_REQUEST


_Decoder = msgspec.json.Decoder
METHODS: dict[str, tuple[msgspec.json.Decoder[Request], _Handler]] = {
    "publish": (_Decoder(Publish), publish),
    "broadcast": (_Decoder(Broadcast), _broadcast),
    "subscribe": (_Decoder(Subscribe), _subscribe),
    "unsubscribe": (_Decoder(Unsubscribe), _unsubscribe),
    "disconnect": (_Decoder(DisconnectUser), _disconnect),
    "refresh": (_Decoder(Refresh), _refresh),
    "presence": (_Decoder(OfChannel), _presence),
    "presence_stats": (_Decoder(OfChannel), _presence_stats),
    "history": (_Decoder(History), _history),
    "history_remove": (_Decoder(OfChannel), _history_remove),
    "channels": (_Decoder(Channels), _channels),
    "info": (_Decoder(Nothing), _info),
    "rpc": (_Decoder(CallMethod), _call_method),
    "batch": (_Decoder(Batch), _no_batch),
}


def _rules(node: Node, channel: str) -> ChannelRules | ErrorReply:
    if not channel:
        return codes.BAD_REQUEST
    return node.rulebook.rules(channel) or codes.UNKNOWN_CHANNEL


def _sessions(node: Node, request: Subscribe | Unsubscribe | DisconnectUser | Refresh) -> list[Session]:
    return [] if request.session else node.sessions(request.user, request.client)


def _data(request: Publish | Broadcast) -> Opaque | None:
    """None for base64 that is not JSON, which no client of the JSON protocol could receive."""
    return decode_base64_json(request.b64data) if request.b64data else request.data
