"""The part of Centrifugo v6's configuration file that the embedded server implements, under the same nested names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast, get_args

import msgspec

from django_cfg.errors import ConfigurationError

from .codes import Disconnect, ErrorReply
from .durations import Seconds
from .globs import compile_glob
from .go_regex import compile_go_regex


class Token(msgspec.Struct, frozen=True):
    """Which tokens count; `hmac_previous_secret_key_valid_until` is a Unix time, 0 for no end."""

    hmac_secret_key: str = ""
    hmac_previous_secret_key: str = ""
    hmac_previous_secret_key_valid_until: int = 0
    audience: str = ""
    issuer: str = ""


class SubscriptionToken(Token, frozen=True):
    """A key of their own for subscription tokens."""

    enabled: bool = False


class PersonalChannel(msgspec.Struct, frozen=True):
    """Subscribe every user to a channel of their own at connect."""

    enabled: bool = False
    personal_channel_namespace: str = ""


class Client(msgspec.Struct, frozen=True):
    """Limits and timers of one connection."""

    allowed_origins: list[str] = []
    token: Token = Token()
    subscription_token: SubscriptionToken = SubscriptionToken()
    allow_anonymous_connect_without_token: bool = False
    disallow_anonymous_connection_tokens: bool = False
    insecure: bool = False
    concurrency: int = 0
    queue_max_size: int = 1_048_576
    channel_limit: int = 128
    user_connection_limit: int = 0
    history_max_publication_limit: int = 300
    recovery_max_publication_limit: int = 300
    ping_interval: Seconds = Seconds(25)
    pong_timeout: Seconds = Seconds(8)
    stale_close_delay: Seconds = Seconds(10)
    expired_close_delay: Seconds = Seconds(25)
    expired_sub_close_delay: Seconds = Seconds(25)
    presence_update_interval: Seconds = Seconds(27)
    channel_position_check_delay: Seconds = Seconds(40)
    subscribe_to_user_personal_channel: PersonalChannel = PersonalChannel()


class StatusTransform(msgspec.Struct, frozen=True):
    """What the client gets when the backend answers with this HTTP status."""

    status_code: int
    to_error: ErrorReply = ErrorReply()
    to_disconnect: Disconnect = Disconnect()


class ProxyHTTP(msgspec.Struct, frozen=True):
    """How a backend is called over HTTP."""

    static_headers: dict[str, str] = {}
    status_to_code_transforms: list[StatusTransform] = []


class Proxy(msgspec.Struct, frozen=True):
    """One backend."""

    endpoint: str = ""
    timeout: Seconds = Seconds(1)
    include_connection_meta: bool = False
    http: ProxyHTTP = ProxyHTTP()


class NamedProxy(Proxy, frozen=True, kw_only=True):
    """A backend that namespaces refer to by name."""

    name: str


class ChannelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all channels of one namespace."""

    presence: bool = False
    join_leave: bool = False
    force_push_join_leave: bool = False
    history_size: int = 0
    history_ttl: Seconds = Seconds(0)
    history_meta_ttl: Seconds = Seconds(0)
    force_positioning: bool = False
    allow_positioning: bool = False
    force_recovery: bool = False
    allow_recovery: bool = False
    force_recovery_mode: str = ""
    allow_subscribe_for_client: bool = False
    allow_subscribe_for_anonymous: bool = False
    allow_publish_for_client: bool = False
    allow_publish_for_subscriber: bool = False
    allow_publish_for_anonymous: bool = False
    allow_presence_for_client: bool = False
    allow_presence_for_subscriber: bool = False
    allow_presence_for_anonymous: bool = False
    allow_history_for_client: bool = False
    allow_history_for_subscriber: bool = False
    allow_history_for_anonymous: bool = False
    allow_user_limited_channels: bool = False
    channel_regex: str = ""
    publication_data_format: str = ""
    publish_proxy_enabled: bool = False
    publish_proxy_name: str = "default"

    @property
    def has_history(self) -> bool:
        """Both the size and the time to live are needed."""
        return self.history_size > 0 and self.history_ttl > 0


class ChannelNamespace(ChannelOptions, frozen=True, kw_only=True):
    """The channels whose name starts with `name:`."""

    name: str


class ChannelProxies(msgspec.Struct, frozen=True):
    """The backends that namespaces mean by "default"."""

    publish: Proxy = Proxy()


class Channel(msgspec.Struct, frozen=True):
    """Namespaces, and how a channel's name is read."""

    proxy: ChannelProxies = ChannelProxies()
    without_namespace: ChannelOptions = ChannelOptions()
    namespaces: list[ChannelNamespace] = []
    history_meta_ttl: Seconds = Seconds(720 * 3600)
    publication_data_format: str = ""
    max_length: int = 255
    private_prefix: str = "$"
    namespace_boundary: str = ":"
    user_boundary: str = "#"
    user_separator: str = ","


class RPCOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether methods of one namespace go to a backend, and to which."""

    proxy_enabled: bool = False
    proxy_name: str = "default"


class RPCNamespace(RPCOptions, frozen=True, kw_only=True):
    """The methods whose name starts with `name:`."""

    name: str


class RPCPing(msgspec.Struct, frozen=True):
    """A method that the server answers itself, with nothing."""

    enabled: bool = False
    method: str = "ping"


class RPC(msgspec.Struct, frozen=True):
    """Native calls."""

    proxy: Proxy = Proxy()
    without_namespace: RPCOptions = RPCOptions()
    namespaces: list[RPCNamespace] = []
    ping: RPCPing = RPCPing()
    namespace_boundary: str = ":"


class HTTPAPI(msgspec.Struct, frozen=True):
    """The server API; without a key nobody may use it unless `insecure` is set."""

    key: str = ""
    insecure: bool = False
    error_mode: str = ""
    handler_prefix: str = "/api"


class WebSocket(msgspec.Struct, frozen=True):
    """The client endpoint; `message_size_limit` in bytes of one frame."""

    handler_prefix: str = "/connection/websocket"
    message_size_limit: int = 65_536
    write_timeout: Seconds = Seconds(1)


class ServerConfig(msgspec.Struct, frozen=True):
    """A whole configuration file."""

    client: Client = Client()
    channel: Channel = Channel()
    rpc: RPC = RPC()
    proxies: list[NamedProxy] = []
    http_api: HTTPAPI = HTTPAPI()
    websocket: WebSocket = WebSocket()


_WITHOUT_EFFECT = frozenset({"http_server.address", "http_server.port", "usage_stats.disabled", "engine.type=memory"})
"""Keys that say where a separate server listens, or switch off what this server does not have."""


def load_config(data: dict[str, Any]) -> ServerConfig:
    """Typed and checked; raises ConfigurationError that names the key."""
    try:
        config = msgspec.convert(data, ServerConfig, dec_hook=_decode_duration)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"Centrifugo configuration: {error}") from error
    for name, options in [("without_namespace", config.channel.without_namespace)] + [
        (namespace.name, namespace) for namespace in config.channel.namespaces
    ]:
        _check_options(name, options)
    _check_proxy_names(config)
    _check_origins(config)
    return config


def unimplemented_keys(data: dict[str, Any]) -> list[str]:
    """Dotted names of keys that a real Centrifugo reads, or may read, and the embedded server does not."""
    return sorted(set(_unknown(data, ServerConfig, "")) - _WITHOUT_EFFECT)


def _decode_duration(kind: type, value: Any) -> Seconds:
    if kind is not Seconds or not isinstance(value, str):
        raise ValueError(f"{value!r} is no duration such as '5s'")
    return Seconds.parse(value)


def _check_options(name: str, options: ChannelOptions) -> None:
    where = f"Centrifugo configuration, channel options of {name!r}"
    if (options.history_size > 0) != (options.history_ttl > 0):
        raise ConfigurationError(f"{where}: history_size and history_ttl only work together")
    if (options.force_recovery or options.force_positioning) and not options.has_history:
        raise ConfigurationError(f"{where}: force_recovery and force_positioning need history_size and history_ttl")
    if options.publication_data_format not in ("", "json", "json_object", "binary"):
        raise ConfigurationError(f"{where}: publication_data_format must be json, json_object or binary")
    try:
        compile_go_regex(options.channel_regex)
    except re.error as error:
        raise ConfigurationError(f"{where}: channel_regex is no regular expression: {error}") from error
    if options.force_recovery_mode not in ("", "stream", "cache"):
        raise ConfigurationError(f"{where}: force_recovery_mode must be stream or cache")


def _check_proxy_names(config: ServerConfig) -> None:
    known = {"default"} | {proxy.name for proxy in config.proxies}
    used = [o.publish_proxy_name for o in [config.channel.without_namespace, *config.channel.namespaces]]
    used += [o.proxy_name for o in [config.rpc.without_namespace, *config.rpc.namespaces]]
    for name in used:
        if name not in known:
            raise ConfigurationError(f"Centrifugo configuration: proxies has none named {name!r}")


def _check_origins(config: ServerConfig) -> None:
    for pattern in config.client.allowed_origins:
        try:
            compile_glob(pattern.lower())
        except ValueError as error:
            raise ConfigurationError(f"Centrifugo configuration, client.allowed_origins: {error}") from error


def _unknown(value: Any, kind: Any, path: str) -> list[str]:
    if isinstance(value, list):
        items = cast(Sequence[Any], value)
        (item_kind,) = get_args(kind) or (None,)
        return [name for item in items for name in _unknown(item, item_kind, path)]
    if not isinstance(value, dict) or get_args(kind):
        return [] if kind is not None else [f"{path}=memory" if (path, value) == ("engine.type", "memory") else path]
    fields = {f.name: f.type for f in msgspec.structs.fields(kind)} if kind is not None else {}
    return [
        name
        for key, item in cast(dict[str, Any], value).items()
        for name in _unknown(item, fields.get(key), f"{path}.{key}" if path else key)
    ]
