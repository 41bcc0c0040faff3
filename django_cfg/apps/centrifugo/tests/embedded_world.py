"""A node, sessions and a clock that only moves when it is told to."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django_cfg.apps.centrifugo.embedded import api
from django_cfg.apps.centrifugo.embedded.commands import answer as answer_call
from django_cfg.apps.centrifugo.embedded.commands import execute
from django_cfg.apps.centrifugo.embedded.config import ServerConfig, load_config
from django_cfg.apps.centrifugo.embedded.node import Node
from django_cfg.apps.centrifugo.embedded.session import Session
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer

KEY = "a-token-key-of-the-embedded-servers-own-unit-tests-with-more-than-64-bytes"
START = 1_800_000_000.0
NAMESPACES: list[dict[str, Any]] = [
    {
        "name": "open",
        "allow_subscribe_for_client": True,
        "allow_publish_for_client": True,
        "presence": True,
        "allow_presence_for_client": True,
        "history_size": 5,
        "history_ttl": "60s",
        "allow_history_for_client": True,
    },
    {"name": "plain", "allow_subscribe_for_client": True, "allow_publish_for_subscriber": True},
    {
        "name": "rec",
        "allow_subscribe_for_client": True,
        "history_size": 3,
        "history_ttl": "60s",
        "history_meta_ttl": "10m",
        "force_recovery": True,
    },
    {
        "name": "cache",
        "allow_subscribe_for_client": True,
        "history_size": 3,
        "history_ttl": "60s",
        "force_recovery": True,
        "force_recovery_mode": "cache",
    },
    {
        "name": "asked",
        "allow_subscribe_for_client": True,
        "history_size": 3,
        "history_ttl": "60s",
        "allow_recovery": True,
        "allow_positioning": True,
    },
    {
        "name": "jl",
        "allow_subscribe_for_client": True,
        "presence": True,
        "join_leave": True,
        "force_push_join_leave": True,
    },
    {"name": "prox", "allow_subscribe_for_client": True, "publish_proxy_enabled": True},
    {"name": "team", "allow_user_limited_channels": True},
    {"name": "closed"},
]


@lru_cache(maxsize=64)
def parsed(config: str) -> ServerConfig:
    return load_config(json.loads(config))


def sign(**claims: Any) -> str:
    return signed(claims, KEY)


def signed(claims: dict[str, Any] | bytes, key: str, alg: str = "HS256") -> str:
    """A token; its payload is taken as it is when it is bytes."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    head = b".".join(_encoded(part) for part in (json.dumps({"alg": alg}).encode(), payload))
    digest = hmac.digest(key.encode(), head, alg.replace("HS", "sha")) if alg != "none" else b""
    return (head + b"." + _encoded(digest)).decode()


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


@dataclass
class Client:
    """One connection; messages are decoded when they are taken."""

    world: World
    session: Session

    def say(self, *commands: dict[str, Any]) -> list[Any]:
        """Executes commands and takes what has come back."""
        for command in commands:
            execute(self.session, json.dumps(command).encode(), self.world.now)
        return self.take()

    def ask(self, command: dict[str, Any], answer: ProxyAnswer) -> list[Any]:
        """Executes a command that the backend answers."""
        call = execute(self.session, json.dumps(command).encode(), self.world.now)
        assert call is not None
        answer_call(self.session, call, answer, self.world.now)
        return self.take()

    def take(self) -> list[Any]:
        return [json.loads(message) for message in self.session.outbox.take()]

    @property
    def code(self) -> int | None:
        """The close code, once the connection has ended."""
        return self.session.ended.code if self.session.ended else None


@dataclass
class World:
    """`client` is the configuration's section of that name."""

    client: dict[str, Any] = field(default_factory=dict[str, Any])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    now: float = START

    def __post_init__(self) -> None:
        self._ids = 0
        self.clients: list[Client] = []
        config = {
            "client": {"token": {"hmac_secret_key": KEY}, **self.client},
            "channel": {"namespaces": NAMESPACES},
            "rpc": {"without_namespace": {"proxy_enabled": True}, "namespaces": [{"name": "off"}]},
            **self.extra,
        }
        self.node = Node(parsed(json.dumps(config)), self._new_id, lambda: 0.5, self.now)

    def open(self) -> Client:
        client = Client(self, Session(self.node, lambda: None, self.now))
        self.clients.append(client)
        return client

    def connect(self, user: str = "42", **claims: Any) -> Client:
        """With a valid token; the reply is taken."""
        client = self.open()
        (reply,) = client.say({"id": 1, "connect": {"token": sign(sub=user, **claims)}})
        assert "connect" in reply, reply
        return client

    def subscribed(self, channel: str, user: str = "42", **claims: Any) -> Client:
        client = self.connect(user, **claims)
        client.say({"id": 2, "subscribe": {"channel": channel}})
        return client

    def api(self, method: str, **body: Any) -> Any:
        """The reply of a server API call that must have status 200."""
        status, reply = api.execute(self.node, method, json.dumps(body).encode(), self.now)
        assert status == 200, reply
        return json.loads(reply)

    def publish(self, channel: str, data: Any = None, **options: Any) -> Any:
        return self.api("publish", channel=channel, data=data or {"n": 1}, **options)["result"]

    def wait(self, seconds: float) -> None:
        """Lets time pass; every timer that comes due fires at its own time."""
        end = self.now + seconds
        while True:
            due = min((c.session.deadline for c in self.clients if c.session.deadline), default=end)
            self.now = max(min(due, end), self.now)
            for client in self.clients:
                client.session.tick(self.now)
            self.node.hub.expire(self.now)
            if self.now >= end:
                return

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:08}-id"
