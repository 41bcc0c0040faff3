"""`DjangoConfig(websocket_rpc=WebSocketRPCConfig(...))`, or `WEBSOCKET_RPC = {...}` in the settings."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, field_validator, model_validator

from django_cfg.modules.django_rpc.extra import check_values, tls_options
from django_cfg.modules.django_rpc.sentinel_url import read_sentinel_url
from django_cfg.typed_settings import TypedSettings

__all__ = ["WebSocketRPCConfig"]

SHORTEST_KEY = 32
URL_OPTIONS = ("db", "username", "password")
OWN_KEYS = ("rpc:servers:", "rpc:call:", "rpc:listener:")
LONGEST_TIMEOUT_SECONDS = 300
"""The most that the wire allows."""


class WebSocketRPCConfig(TypedSettings):
    """Every option of RPC over Redis. Durations are in seconds. Client and server must agree on all names of keys."""

    enabled: bool = Field(default=False, description="Whether this project uses RPC over Redis")
    module_name: str = Field(
        default="websocket_rpc", pattern=r"^[A-Za-z0-9_.:-]+$", description="Begins the names of connections to Redis"
    )

    redis_url: str = Field(
        default="redis://localhost:6379/2",
        repr=False,  # it may hold a password
        description="`redis://`, `rediss://`, `unix://` or `sentinel://host:port,host:port/service/db`; `memory://`: "
        "an in-process server, without Redis",
    )
    redis_max_connections: int = Field(
        default=50,
        gt=0,
        description="The most connections of a client, and of a server; neither gets by with fewer than five",
    )

    rpc_timeout: int = Field(
        default=30, ge=1, le=LONGEST_TIMEOUT_SECONDS, description="Deadline of a call that names none"
    )
    request_stream: str = Field(default="stream:requests", min_length=1, description="Stream of requests to servers")
    consumer_group: str = Field(
        default="rpc_group", min_length=1, description="Group under which servers share the requests"
    )
    stream_maxlen: int = Field(
        default=10000, gt=0, description="Requests waiting or running at which further ones are refused"
    )

    liveness_timeout: float = Field(
        default=5.0,
        ge=1,
        le=60,
        description="How long a server may be silent before others take over what it has",
    )

    response_key_prefix: str = Field(
        default="list:response:", min_length=1, description="Begins the keys of reply lists; no reply goes elsewhere"
    )
    response_key_ttl: int = Field(default=60, gt=0, description="How long a reply waits to be fetched")

    enable_bridge: bool = Field(default=False, description="Whether `rpc_bridge` answers requests to this project")
    bridge_consumer_name: str = Field(
        default="django_bridge", min_length=1, description="Begins the consumer names of the bridge"
    )
    bridge_stream: str = Field(
        default="stream:django:requests", min_length=1, description="Stream of requests to this project"
    )

    signing_key: str = Field(
        default="",
        repr=False,
        description="Secret of 32 characters or more under which requests are signed; without it SECRET_KEY signs",
    )
    require_signature: bool = Field(
        default=False, description="Whether callers sign all requests, and servers refuse those without a signature"
    )

    websocket_url: str = Field(
        default="ws://localhost:8765", description="Where browsers reach the WebSocket server; for your pages"
    )

    log_rpc_calls: bool = Field(default=False, description="Whether calls are logged with redacted parameters")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="Level of those lines"
    )

    @field_validator("redis_url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://", "unix://", "sentinel://", "memory://")):
            raise ValueError("this is no redis://, rediss://, unix://, sentinel:// or memory:// URL")
        if url.startswith("redis"):
            _check_address(url)
        if url.startswith("sentinel:"):
            read_sentinel_url(url)
        else:
            _check_options(url)
        if url.startswith(("redis", "unix")):
            _check_values(url)
        return url

    @field_validator("signing_key")
    @classmethod
    def _long_key(cls, key: str) -> str:
        if 0 < len(key) < SHORTEST_KEY:
            raise ValueError(f"a signing key has {SHORTEST_KEY} characters or more")
        return key

    @field_validator("websocket_url")
    @classmethod
    def _websocket_scheme(cls, url: str) -> str:
        if not url.startswith(("ws://", "wss://")):
            raise ValueError("this is no ws:// or wss:// URL")
        return url

    @model_validator(mode="after")
    def _separate_keys(self) -> WebSocketRPCConfig:
        if self.request_stream == self.bridge_stream:
            raise ValueError("request_stream and bridge_stream are the same: the project would answer its own requests")
        if f"{self.request_stream}:dead" == self.bridge_stream or f"{self.bridge_stream}:dead" == self.request_stream:
            raise ValueError("one stream is where the dead letters of the other go: they would run again and again")
        for name in ("request_stream", "bridge_stream"):
            if getattr(self, name).startswith(self.response_key_prefix):
                raise ValueError(f"{name} begins with response_key_prefix: a reply could be sent into it")
        prefix = self.response_key_prefix
        if any(own.startswith(prefix) or prefix.startswith(own) for own in OWN_KEYS):
            raise ValueError("keys of RPC itself begin with response_key_prefix: a reply could be sent into them")
        return self

    @property
    def in_memory(self) -> bool:
        """Whether an in-process server answers, and no Redis is needed."""
        return self.redis_url.startswith("memory:")

    @property
    def client_name(self) -> str:
        """Of this process: in its connections to Redis, and in its log."""
        return f"{self.module_name}:{os.getpid()}"

    @property
    def signs(self) -> bool:
        """Whether every request is signed, not only those that speak for a user."""
        return self.require_signature or bool(self.signing_key)

    def to_django_settings(self) -> dict[str, Any]:
        """`{"WEBSOCKET_RPC": {...}}` with every option."""
        return {"WEBSOCKET_RPC": self.model_dump()}


def _check_address(url: str) -> None:
    """What redis-py would overlook or report together with the password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "host or port cannot be read; write special characters of a password as %2F and so on"
        ) from None
    if not parts.path.removeprefix("/").isdecimal() and parts.path not in ("", "/"):
        raise ValueError("what follows the host must be the number of a database, as in redis://localhost:6379/2")


def _check_options(url: str) -> None:
    """Others would win over our own: with a protocol or a timeout from there nothing would work as it is meant to."""
    for name in parse_qs(urlsplit(url).query, keep_blank_values=True):
        if name not in URL_OPTIONS and not (name.startswith("ssl_") and url.startswith("rediss:")):
            raise ValueError(
                f"{name!r} is no option for this URL: it takes {', '.join(URL_OPTIONS)}, and with rediss:// ssl_..."
            )
        if name.startswith("ssl_"):
            _check_tls_option(name)


def _check_values(url: str) -> None:
    """What redis-py refuses at the first connection, and what it takes although nothing can come of it."""
    if any(not text.isdecimal() for text in parse_qs(urlsplit(url).query).get("db", ())):
        raise ValueError("db must be the number of a database")
    if url.startswith("unix:") and not urlsplit(url).path:
        raise ValueError("a unix:// URL names the path of a socket: unix:///run/redis.sock?db=2")
    check_values(url)


def _check_tls_option(name: str) -> None:
    """redis-py itself says it at the first connection only."""
    known = tls_options()
    if known and name not in known:
        nearest = get_close_matches(name, known, 1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"it takes {', '.join(known)}"
        raise ValueError(f"redis-py has no option {name!r} for TLS: {hint}")
