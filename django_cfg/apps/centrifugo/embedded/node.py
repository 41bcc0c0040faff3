"""Pure: what all connections of one server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .channels import ChannelRulebook, MethodRulebook
from .config import ChannelOptions, Proxy, RPCOptions, ServerConfig
from .hub import Hub, Retention
from .tokens import TokenVerifier

if TYPE_CHECKING:
    from .session import Session

VERSION = "django_cfg embedded"


@dataclass
class Node:
    """`new_id` makes connection ids, `random` gives 0 to 1; both are passed in so that tests can fix them."""

    config: ServerConfig
    new_id: Callable[[], str]
    random: Callable[[], float]
    started_at: float
    users: dict[str, dict[str, Session]] = field(default_factory=dict[str, "dict[str, Session]"])

    def __post_init__(self) -> None:
        self.uid = self.new_id()
        self._proxies: dict[str, Proxy] = {proxy.name: proxy for proxy in self.config.proxies}
        self.hub = Hub(lambda: self.new_id()[:8])
        self.rulebook = ChannelRulebook(self.config)
        self.methods = MethodRulebook(self.config)
        self.tokens = TokenVerifier(self.config.client.token, self.config.client.subscription_token)

    def add(self, session: Session) -> None:
        """A connection is authenticated."""
        self.users.setdefault(session.user, {})[session.id] = session

    def remove(self, session: Session) -> None:
        """A connection has ended."""
        sessions = self.users.get(session.user, {})
        sessions.pop(session.id, None)
        if not sessions:
            self.users.pop(session.user, None)

    def sessions(self, user: str, client: str = "") -> list[Session]:
        """The user's connections, or the one with that id."""
        found = self.users.get(user, {})
        return [s for s in found.values() if client in ("", s.id)]

    def publish_proxy(self, options: ChannelOptions) -> Proxy:
        """The backend that decides about publications there."""
        name = options.publish_proxy_name
        return self.config.channel.proxy.publish if name == "default" else self._proxies[name]

    def rpc_proxy(self, options: RPCOptions) -> Proxy:
        """The backend that answers these methods."""
        return self.config.rpc.proxy if options.proxy_name == "default" else self._proxies[options.proxy_name]

    def retention(self, options: ChannelOptions, *, skip_history: bool = False) -> Retention:
        """How long a publication to a channel with these options is kept."""
        size = 0 if skip_history else options.history_size
        return Retention(size, options.history_ttl, self.rulebook.meta_ttl_seconds(options))
