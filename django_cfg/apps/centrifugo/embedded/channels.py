"""Pure: which options a channel has, and what a user may do there (https://centrifugal.dev/docs/server/channel_permissions)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msgspec import UnsetType

from .config import ChannelOptions, RPCOptions, ServerConfig
from .go_regex import compile_go_regex
from .protocol import Opaque, SubscribeRequest


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """A channel's options, and the part of its name that `channel_regex` is about."""

    options: ChannelOptions
    rest: str
    pattern: re.Pattern[str] | None

    def valid_name(self, channel: str) -> bool:
        """Without a `channel_regex` only ASCII names are valid."""
        if self.pattern is not None:
            return self.pattern.search(self.rest) is not None
        return channel.isascii()


class ChannelRulebook:
    """The channel part of the configuration, ready for look-ups."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config.channel
        self._insecure = config.client.insecure
        named: dict[str, ChannelOptions] = {n.name: n for n in config.channel.namespaces}
        self._options: dict[str, ChannelOptions] = {**named, "": config.channel.without_namespace}
        self._patterns = {
            name: compile_go_regex(options.channel_regex)
            for name, options in self._options.items()
            if options.channel_regex
        }

    def rules(self, channel: str) -> ChannelRules | None:
        """None when the channel's namespace is not configured."""
        namespace, rest = self._split(channel)
        options = self._options.get(namespace)
        return None if options is None else ChannelRules(options, rest, self._patterns.get(namespace))

    def is_private(self, channel: str) -> bool:
        """A private channel is subscribed with a token only."""
        return bool(self._config.private_prefix) and channel.startswith(self._config.private_prefix)

    def user_limited(self, channel: str, options: ChannelOptions) -> bool:
        """Whether the end of the name lists the users who may subscribe."""
        boundary = self._config.user_boundary
        return options.allow_user_limited_channels and bool(boundary) and boundary in channel

    def names_user(self, channel: str, user: str) -> bool:
        """Whether `user` is in the list after the last user boundary."""
        users = channel.rpartition(self._config.user_boundary)[2]
        separator = self._config.user_separator
        return user in (users.split(separator) if separator else [users])

    def personal_channel(self, namespace: str, user: str) -> str:
        """The channel of one user alone."""
        prefix = namespace + self._config.namespace_boundary if namespace else ""
        return f"{prefix}{self._config.user_boundary}{user}"

    def may_subscribe(self, channel: str, user: str, options: ChannelOptions) -> bool:
        """Without a subscription token."""
        if self.is_private(channel):
            return False
        if self.user_limited(channel, options):
            return self.names_user(channel, user) or self._insecure
        allowed = options.allow_subscribe_for_client and _known(user, options.allow_subscribe_for_anonymous)
        return allowed or self._insecure

    def may_subscribe_at_connect(self, channel: str, user: str, options: ChannelOptions) -> bool:
        """Other than for a subscribe command, `insecure` does not count, and either option is enough."""
        if self.is_private(channel):
            return False
        named = self.user_limited(channel, options) and user != "" and self.names_user(channel, user)
        return named or (options.allow_subscribe_for_client and _known(user, options.allow_subscribe_for_anonymous))

    def may_publish(self, user: str, subscribed: bool, options: ChannelOptions) -> bool:
        """Where no publish proxy decides."""
        granted = options.allow_publish_for_client or (options.allow_publish_for_subscriber and subscribed)
        return (granted and _known(user, options.allow_publish_for_anonymous)) or self._insecure

    def may_read_history(self, user: str, subscribed: bool, options: ChannelOptions) -> bool:
        """From a client; the server API may always."""
        granted = options.allow_history_for_client or (options.allow_history_for_subscriber and subscribed)
        return (granted and _known(user, options.allow_history_for_anonymous)) or self._insecure

    def may_read_presence(self, user: str, subscribed: bool, options: ChannelOptions) -> bool:
        """From a client; the server API may always."""
        granted = options.allow_presence_for_client or (options.allow_presence_for_subscriber and subscribed)
        return (granted and _known(user, options.allow_presence_for_anonymous)) or self._insecure

    def valid_data(self, data: Opaque, options: ChannelOptions) -> bool:
        """By `publication_data_format`; whatever arrives here is JSON already, or nothing."""
        wanted = options.publication_data_format or self._config.publication_data_format
        raw = b"" if isinstance(data, UnsetType) else bytes(data)
        if wanted == "json_object":
            return raw.lstrip()[:1] == b"{"
        return bool(raw) or wanted == "binary"

    def meta_ttl_seconds(self, options: ChannelOptions) -> float:
        """How long a channel's position outlives its last use."""
        return options.history_meta_ttl or self._config.history_meta_ttl

    def widened(self, request: SubscribeRequest, user: str, options: ChannelOptions) -> tuple[bool, bool, bool]:
        """What the client asks for and may have: positioning, recovery, join and leave messages."""
        history = self.may_read_history(user, True, options)
        return (
            request.positioned and (options.allow_positioning or history),
            request.recoverable and (options.allow_recovery or history),
            request.join_leave and options.join_leave and self.may_read_presence(user, True, options),
        )

    def _split(self, channel: str) -> tuple[str, str]:
        name = channel.removeprefix(self._config.private_prefix)
        namespace, boundary, rest = name.partition(self._config.namespace_boundary or "\0")
        return (namespace, rest) if boundary else ("", channel)


class MethodRulebook:
    """The RPC part of the configuration, ready for look-ups."""

    def __init__(self, config: ServerConfig) -> None:
        self._boundary = config.rpc.namespace_boundary
        named: dict[str, RPCOptions] = {n.name: n for n in config.rpc.namespaces}
        self._options: dict[str, RPCOptions] = {**named, "": config.rpc.without_namespace}
        self.ping_method = config.rpc.ping.method if config.rpc.ping.enabled else None
        self.enabled = any(options.proxy_enabled for options in self._options.values())

    def options(self, method: str) -> RPCOptions | None:
        """None when the method's namespace is not configured."""
        namespace, boundary, _ = method.partition(self._boundary or "\0")
        return self._options.get(namespace if boundary else "")


def _known(user: str, anonymous_allowed: bool) -> bool:
    return user != "" or anonymous_allowed
