"""`CENTRIFUGO = {...}` in the settings, or `DjangoConfig(centrifugo=CentrifugoConfig(...))`.

Typed, with defaults for development.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from django_cfg.typed_settings import TypedSettings

__all__ = ["CentrifugoConfig"]

PROXY_MARGIN_SECONDS = 2.0
"""Between the longest deadline and the proxy's timeout, so that an error of ours arrives before Centrifugo's own."""


class CentrifugoConfig(TypedSettings):
    """Every option of the Centrifugo part. Durations are in seconds, sizes in bytes; an empty secret is none."""

    token_secret: str = Field(
        default="", description="Signs connection and subscription tokens (HS256); 32 bytes or more"
    )
    token_audience: str = Field(default="", description="The claim `aud` of tokens, and what the server demands of it")
    token_issuer: str = Field(default="", description="The claim `iss` of tokens, and what the server demands of it")
    token_ttl_seconds: int = Field(
        default=600, gt=0, description="How long a connection token lives; clients refresh it"
    )
    proxy_secret: str = Field(
        default="", description="What Centrifugo shows to the worker in the header X-Rpc-Proxy-Key"
    )
    api_key: str = Field(default="", description="What opens Centrifugo's server API")

    api_url: str = Field(
        default="http://127.0.0.1:8000/api", description="Centrifugo's server API, as this project reaches it"
    )
    api_timeout_seconds: float = Field(default=5.0, gt=0, description="For one request to the server API")
    proxy_url: str = Field(
        default="http://127.0.0.1:8010/centrifugo", description="The worker, as Centrifugo reaches it"
    )
    allowed_origins: list[str] | None = Field(
        default=None, description="Web origins that may connect; None: the same origin, and localhost under DEBUG"
    )
    redis_url: str = Field(default="", description="Centrifugo's Redis; empty: its memory engine (one node)")

    default_timeout_seconds: float = Field(default=30.0, gt=0, description="For calls that bring no timeout_ms")
    longest_timeout_seconds: float = Field(default=60.0, gt=0, description="The most that a call may ask for")
    max_request_bytes: int = Field(default=262_144, ge=1024, description="One WebSocket frame of a client")
    max_reply_bytes: int = Field(
        default=524_288, ge=1024, description="One reply; a larger one becomes an error that says so"
    )
    history_size: int = Field(default=64, gt=0, description="Replies kept per user for clients that reconnect")
    history_ttl_seconds: int = Field(default=60, gt=0, description="For how long")

    max_concurrent_calls: int = Field(default=2000, gt=0, description="Calls that run at once in one process")
    max_concurrent_calls_per_user: int = Field(default=1000, gt=0, description="Of them, for one user")
    database_lanes: int = Field(default=8, gt=0, description="Database threads (and connections) of one process")
    drain_timeout_seconds: float = Field(default=30.0, gt=0, description="For running calls after SIGTERM")
    middleware: list[str] = Field(
        default_factory=list[str], description="Dotted paths of `async (conn, params, call_next)`"
    )
    default_permissions: list[str] = Field(
        default_factory=lambda: ["django_cfg.rpc.permissions.IsAuthenticated"],
        description="Dotted paths; for methods that name none",
    )
    handler_modules: list[str] = Field(
        default_factory=lambda: ["centrifugo_handlers", "handlers", "rpc"],
        description="Modules of installed apps that are imported at start because they register handlers",
    )

    @field_validator("api_url", "proxy_url")
    @classmethod
    def _no_slash_at_end(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no http or https URL")
        return url.rstrip("/")

    @field_validator("handler_modules")
    @classmethod
    def _plain_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is no module name: give the name inside an app, such as 'handlers'")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> CentrifugoConfig:
        if self.default_timeout_seconds > self.longest_timeout_seconds:
            raise ValueError("default_timeout_seconds is above longest_timeout_seconds: raise the latter")
        return self

    @property
    def proxy_timeout_seconds(self) -> float:
        """Above the longest deadline of a call."""
        return self.longest_timeout_seconds + PROXY_MARGIN_SECONDS

    def to_django_settings(self) -> dict[str, Any]:
        """`{"CENTRIFUGO": {...}}` with the options that were given."""
        return {"CENTRIFUGO": self.model_dump(exclude_unset=True)}
