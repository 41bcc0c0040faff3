"""Pure: which command does what; publish, rpc, history and presence themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw

from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, ProxyResult, PublishProxyRequest, RPCProxyRequest

from . import codes
from .channels import ChannelRules
from .codes import Disconnect, ErrorReply, Refusal
from .config import ChannelOptions, Proxy
from .connecting import connect, refresh
from .history import Version
from .json_text import decode_base64_json
from .protocol import (
    ChannelRequest,
    ClientInfo,
    Command,
    ConnectResult,
    HistoryRequest,
    HistoryResult,
    Nothing,
    Opaque,
    PresenceResult,
    PresenceStatsResult,
    PublishRequest,
    Result,
    RPCRequest,
    RPCResult,
    decode_command,
)
from .subscribing import announce_join, sub_refresh_command, subscribe_command, unsubscribe_command

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, slots=True)
class ProxiedCall:
    """A command that a backend has to answer."""

    command_id: int
    kind: str
    proxy: Proxy
    request: PublishProxyRequest | RPCProxyRequest
    options: ChannelOptions | None = None
    data: Opaque = UNSET
    info: ClientInfo | msgspec.UnsetType = UNSET


Outcome = Result | Refusal | ProxiedCall


def execute(session: Session, line: bytes, now: float) -> ProxiedCall | None:
    """Runs one command; a call that the backend has to answer is handed back."""
    if session.ended is not None or session.refused:
        return None
    command = decode_command(line)
    if command is None or not (session.authenticated or command.connect):
        session.close(codes.PROTOCOL_ERROR)
        return None
    if not command.id and command.send is None:
        session.pong()
        return None
    kind, outcome = _run(session, command, now)
    if isinstance(outcome, ProxiedCall):
        return outcome
    session.reply(command.id, kind, outcome)
    if isinstance(outcome, ConnectResult):
        session.connected(now)
    elif kind == "connect" and isinstance(outcome, ErrorReply):
        session.refuse(now)
    _announce(session, command, outcome)
    return None


def answer(session: Session, call: ProxiedCall, given: ProxyAnswer, now: float) -> None:
    """What the backend said to a call that `execute` handed back."""
    if session.ended is None:
        session.reply(call.command_id, call.kind, _finish(session, call, given, now))


def _run(session: Session, command: Command, now: float) -> tuple[str, Outcome]:
    """The command's kind and what became of it; a command of no known kind ends the connection."""
    if command.connect is not None:
        return "connect", connect(session, command.connect, now)
    if command.subscribe is not None:
        return "subscribe", subscribe_command(session, command.subscribe, now)
    if command.unsubscribe is not None:
        return "unsubscribe", unsubscribe_command(session, command.unsubscribe)
    if command.publish is not None:
        return "publish", _publish(session, command.publish, command.id, now)
    return _run_other(session, command, now)


def _run_other(session: Session, command: Command, now: float) -> tuple[str, Outcome]:
    if command.presence is not None:
        return "presence", _presence(session, command.presence)
    if command.presence_stats is not None:
        return "presence_stats", _presence_stats(session, command.presence_stats)
    if command.history is not None:
        return "history", _history(session, command.history, now)
    if command.rpc is not None:
        return "rpc", _rpc(session, command.rpc, command.id)
    if command.send is not None:
        return "send", codes.SEND_NOT_AVAILABLE
    if command.refresh is not None:
        return "refresh", refresh(session, command.refresh, now)
    if command.sub_refresh is not None:
        return "sub_refresh", sub_refresh_command(session, command.sub_refresh, now)
    return "", codes.PROTOCOL_ERROR


def _announce(session: Session, command: Command, outcome: Outcome) -> None:
    """Join messages, which follow the reply."""
    if isinstance(outcome, ErrorReply | Disconnect):
        return
    if command.connect is not None:
        for channel in list(session.subscriptions):
            announce_join(session, channel)
    elif command.subscribe is not None:
        announce_join(session, command.subscribe.channel)


def _finish(session: Session, call: ProxiedCall, answer: ProxyAnswer, now: float) -> Result | Refusal:
    """What the client gets for the backend's answer; an accepted publication is published here."""
    if answer.disconnect is not None:
        return Disconnect(answer.disconnect.code, answer.disconnect.reason)
    if answer.error is not None:
        return ErrorReply(answer.error.code, answer.error.message, answer.error.temporary)
    result = answer.result or ProxyResult()
    data = _payload(result, base64_first=call.options is None)
    if data is None:
        return codes.INTERNAL
    if not isinstance(call.request, PublishProxyRequest) or call.options is None:
        return RPCResult(data)
    session.node.hub.publish(
        call.request.channel,
        _present(call.data if data is UNSET else data),
        session.node.retention(call.options, skip_history=result.skip_history),
        now,
        info=call.info,
        tags=result.tags,
        idempotency_key=result.idempotency_key,
        version=Version(result.version, result.version_epoch),
    )
    return Nothing()


def _publish(session: Session, request: PublishRequest, command_id: int, now: float) -> Nothing | Refusal | ProxiedCall:
    if not request.channel:
        return codes.PROTOCOL_ERROR
    rules = _rules(session, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    options, node = rules.options, session.node
    if not node.rulebook.valid_data(request.data, options):
        return codes.BAD_REQUEST
    subscription = session.subscriptions.get(request.channel)
    info = subscription.client_info() if subscription else ClientInfo(session.user, session.id, session.info)
    if options.publish_proxy_enabled:
        proxy = node.publish_proxy(options)
        proxied = PublishProxyRequest(**_head(session, proxy, request.data), channel=request.channel)
        return ProxiedCall(command_id, "publish", proxy, proxied, options, request.data, info)
    if not node.rulebook.may_publish(session.user, subscription is not None, options):
        return codes.PERMISSION_DENIED
    node.hub.publish(request.channel, _present(request.data), node.retention(options), now, info=info)
    return Nothing()


def _rpc(session: Session, request: RPCRequest, command_id: int) -> RPCResult | Refusal | ProxiedCall:
    methods = session.node.methods
    if request.method == methods.ping_method:
        return RPCResult()
    options = methods.options(request.method)
    if not methods.enabled:
        return codes.NOT_AVAILABLE if methods.ping_method is None else codes.METHOD_NOT_FOUND
    if options is None:
        return codes.METHOD_NOT_FOUND
    if not options.proxy_enabled:
        return codes.NOT_AVAILABLE
    proxy = session.node.rpc_proxy(options)
    return ProxiedCall(
        command_id, "rpc", proxy, RPCProxyRequest(**_head(session, proxy, request.data), method=request.method)
    )


def _presence(session: Session, request: ChannelRequest) -> PresenceResult | Refusal:
    refusal = _presence_refusal(session, request.channel)
    return refusal or PresenceResult(session.node.hub.presence(request.channel))


def _presence_stats(session: Session, request: ChannelRequest) -> PresenceStatsResult | Refusal:
    refusal = _presence_refusal(session, request.channel)
    if refusal is not None:
        return refusal
    present = session.node.hub.presence(request.channel)
    return PresenceStatsResult(len(present), len({info.user for info in present.values()}))


def _presence_refusal(session: Session, channel: str) -> Refusal | None:
    if not channel:
        return codes.PROTOCOL_ERROR
    rules = _rules(session, channel)
    if isinstance(rules, ErrorReply):
        return rules
    if not rules.options.presence:
        return codes.NOT_AVAILABLE
    subscribed = channel in session.subscriptions
    if not session.node.rulebook.may_read_presence(session.user, subscribed, rules.options):
        return codes.PERMISSION_DENIED
    return None


def _history(session: Session, request: HistoryRequest, now: float) -> HistoryResult | Refusal:
    if not request.channel:
        return codes.PROTOCOL_ERROR
    rules = _rules(session, request.channel)
    if isinstance(rules, ErrorReply):
        return rules
    if not rules.options.has_history:
        return codes.NOT_AVAILABLE
    rulebook, subscribed = session.node.rulebook, request.channel in session.subscriptions
    if not rulebook.may_read_history(session.user, subscribed, rules.options):
        return codes.PERMISSION_DENIED
    if request.reverse and request.since is not None and not request.since.offset:
        return codes.BAD_REQUEST
    limit, most = request.limit, session.node.config.client.history_max_publication_limit
    publications, newest, error = session.node.hub.history(
        request.channel,
        now,
        rulebook.meta_ttl_seconds(rules.options),
        since=request.since,
        limit=most if most > 0 and not 0 <= limit <= most else limit,
        reverse=request.reverse,
    )
    return error or HistoryResult(publications, newest.epoch, newest.offset)


def _rules(session: Session, channel: str) -> ChannelRules | ErrorReply:
    rules = session.node.rulebook.rules(channel)
    if rules is None:
        return codes.UNKNOWN_CHANNEL
    return rules if rules.valid_name(channel) else codes.BAD_REQUEST


def _head(session: Session, proxy: Proxy, data: Opaque) -> dict[str, Any]:
    """What every proxied request says; absent payloads are left out."""
    head: dict[str, Any] = {
        "client": session.id,
        "transport": "websocket",
        "protocol": "json",
        "encoding": "json",
        "user": session.user,
    }
    if data is not UNSET:
        head["data"] = data
    if proxy.include_connection_meta and session.meta is not UNSET:
        head["meta"] = session.meta
    return head


def _payload(result: ProxyResult, *, base64_first: bool) -> Opaque | None:
    """None for base64 that is not JSON, which no client of the JSON protocol could receive."""
    if bytes(result.data) and not (base64_first and result.b64data):
        return result.data
    return decode_base64_json(result.b64data) if result.b64data else UNSET


def _present(data: Opaque) -> Raw:
    return Raw(b"null") if isinstance(data, msgspec.UnsetType) else data
