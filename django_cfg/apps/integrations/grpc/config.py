"""`DjangoConfig(grpc=GRPCConfig(...))`, or `GRPC = {...}` in the settings."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from django_cfg.apps.integrations.grpc.hosts import is_host, is_loopback
from django_cfg.typed_settings import TypedSettings

__all__ = ["GRPCConfig"]

SHORTEST_SECRET = 32
LARGEST_MESSAGE_BYTES = 2_000_000_000
"""gRPC counts in 32 bits with a sign: bytes, streams, and milliseconds."""
MOST_STREAMS = 1_000_000
LONGEST_SECONDS = 2_000_000


def _as_text(path: object) -> object:
    return str(path) if isinstance(path, PurePath) else path


File = Annotated[str, BeforeValidator(_as_text)]
"""A `Path` will do as well."""


class GRPCConfig(TypedSettings):
    """Every option of the server and of this project's own clients of it. Files are in PEM."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address of the server")
    port: int = Field(default=50051, ge=0, le=65535, description="Port of the server; 0: any free one")

    tls_certificate: File = Field(default="", description="The server's certificate, with its chain; none: no TLS")
    tls_key: File = Field(default="", description="Private key of `tls_certificate`")
    client_ca: File = Field(default="", description="Who signs clients' certificates; given: each must show one (mTLS)")
    server_ca: File = Field(default="", description="Whom this project's clients trust; none: the well-known ones")
    tls_server_name: str = Field(default="", description="Name in the server's certificate, if it is not the address")
    client_certificate: File = Field(default="", description="Certificate of this project's clients, for mTLS")
    client_key: File = Field(default="", description="Private key of `client_certificate`")

    agent_tokens: Literal["off", "required"] = Field(
        default="off", description="Whether each agent must show a signed token"
    )
    token_secret: str = Field(
        default="", repr=False, description="Signs tokens, 32 characters or more; none: derived, under `DEBUG` only"
    )
    agent_san_prefix: str = Field(
        default="", description="What the name of an agent in its certificate begins with; the rest is its id"
    )
    service_api_keys: list[str] = Field(
        default_factory=list[str], repr=False, description="Keys of services, 32 characters or more each"
    )
    service_sans: list[str] = Field(
        default_factory=list[str], description="Names in certificates (DNS or URI) that services show"
    )

    max_message_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, le=LARGEST_MESSAGE_BYTES, description="The largest message accepted"
    )
    max_agents: int = Field(default=10_000, gt=0, le=MOST_STREAMS, description="Agents' streams at once")
    max_concurrent_streams: int | None = Field(
        default=None,
        gt=0,
        le=MOST_STREAMS,
        description="Streams at once of one connection; none: 1000 more than `max_agents`",
    )

    keepalive_seconds: float = Field(
        default=20.0, gt=0, le=LONGEST_SECONDS, description="Silence after which the server pings a client"
    )
    keepalive_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="How long a ping may stay unanswered before the connection is closed",
    )
    client_keepalive_seconds: float = Field(
        default=30.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Silence after which this project's clients and agents ping the server",
    )
    min_ping_interval_seconds: float = Field(
        default=10.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Clients that ping an idle connection more often are sent away",
    )
    drain_seconds: float = Field(
        default=10.0, ge=0, le=600, description="How long what runs may take to finish when the server ends"
    )
    reflection: bool | None = Field(
        default=None, description="Whether clients may ask which methods there are; none: under `DEBUG` only"
    )

    @field_validator("host")
    @classmethod
    def _host_alone(cls, host: str) -> str:
        if not is_host(host):
            raise ValueError("it must be a name or an IP address alone; the port is 'port'")
        return host

    @field_validator("token_secret")
    @classmethod
    def _long_secret(cls, secret: str) -> str:
        if 0 < len(secret) < SHORTEST_SECRET:
            raise ValueError(f"a secret needs {SHORTEST_SECRET} characters or more; {_GENERATE}")
        return secret

    @field_validator("service_api_keys")
    @classmethod
    def _long_keys(cls, keys: list[str]) -> list[str]:
        for key in keys:
            if len(key) < SHORTEST_SECRET or not (key.isascii() and key.isprintable() and key == key.strip()):
                raise ValueError(f"an API key is {SHORTEST_SECRET} or more printable ASCII characters; {_GENERATE}")
        return keys

    @model_validator(mode="after")
    def _whole_pairs(self) -> GRPCConfig:
        for certificate, key in (("tls_certificate", "tls_key"), ("client_certificate", "client_key")):
            if bool(getattr(self, certificate)) != bool(getattr(self, key)):
                raise ValueError(f"{certificate} and {key} belong together: give both or neither")
        if self.client_ca and not self.tls_certificate:
            raise ValueError("client_ca needs tls_certificate and tls_key: clients show certificates over TLS only")
        if self.service_sans and not self.client_ca:
            raise ValueError("service_sans needs client_ca: nobody has checked the certificates otherwise")
        return self

    @property
    def identifies_agents(self) -> bool:
        """Whether an agent's id is proved and not only claimed."""
        return bool(self.client_ca) or self.agent_tokens == "required"

    @property
    def checks_callers(self) -> bool:
        """Whether anybody needs credentials."""
        return self.identifies_agents or bool(self.service_api_keys)

    @property
    def uses_tls(self) -> bool:
        """Of this project's clients: whatever tells them of TLS must not leave them without it."""
        return bool(self.tls_certificate or self.server_ca or self.client_certificate or self.tls_server_name)

    def exposure_problem(self, host: str, *, debug: bool) -> str:
        """Why the server must not listen on `host`; empty if it may."""
        if self.identifies_agents or debug or is_loopback(host):
            return ""
        return (
            f"whoever reaches {host} could pose as any agent: set GRPC['agent_tokens'] = 'required' or "
            f"GRPC['client_ca'], or listen on 127.0.0.1"
        )

    def to_django_settings(self) -> dict[str, Any]:
        """`{"GRPC": {...}}`, with the options that were given."""
        return {"GRPC": self.model_dump(exclude_unset=True)}


_GENERATE = 'generate one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
