"""What a real-time server says about its connections."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import BeforeValidator, Field

from django_cfg.models.websocket.base import UserId, WireModel, now
from django_cfg.models.websocket.json_object import JsonObject

__all__ = ["ConnectionInfo", "ConnectionStateUpdate"]


def _address_text(given: object) -> str:
    if not isinstance(given, str | IPv4Address | IPv6Address):
        raise ValueError("an IP address is a text")  # noqa: TRY004 - pydantic reports ValueErrors only
    return str(ip_address(given))


class ConnectionInfo(WireModel):
    """One connection of a user to a real-time server."""

    connection_id: UUID = Field(default_factory=uuid4, description="Of this connection alone")
    user_id: UserId = Field(description="Who is connected")
    server_id: str = Field(min_length=1, max_length=100, description="The server that holds it")
    ip_address: Annotated[str, BeforeValidator(_address_text)] = Field(
        description="The client's IPv4 or IPv6 address, in its usual form"
    )
    user_agent: str | None = Field(default=None, max_length=500, description="What the client calls itself")
    connected_at: datetime = Field(default_factory=now, description="Since when (UTC)")
    last_activity: datetime = Field(default_factory=now, description="When it was last heard from (UTC)")
    metadata: JsonObject | None = Field(default=None, description="The application's own")


class ConnectionStateUpdate(WireModel):
    """What has changed about a connection; None: unchanged."""

    connection_id: UUID = Field(description="Which connection")
    last_activity: datetime | None = Field(default=None, description="When it was last heard from (UTC)")
    metadata: JsonObject | None = Field(default=None, description="The application's own")
