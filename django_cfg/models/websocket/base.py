"""What all messages over Redis have in common, and the older counterpart django-ipc understands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

__all__ = ["BaseRPCMessage", "BaseRPCRequest", "BaseRPCResponse", "EventName", "UserId", "WireModel", "now"]

UserId = Annotated[str, Field(min_length=1, max_length=100, coerce_numbers_to_str=True)]
"""A user's primary key as text; numbers are taken too."""

EventName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9_.]+$")]


def now() -> datetime:
    return datetime.now(UTC)


class WireModel(BaseModel):
    """Base of everything on the wire: immutable, and tolerant of keys that it does not know (a newer peer's)."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, allow_inf_nan=False)


class BaseRPCMessage(WireModel):
    """Base of requests and responses."""

    correlation_id: UUID = Field(
        default_factory=uuid4,
        validation_alias=AliasChoices("correlation_id", "cid"),
        description="Ties a response to its request; read from `cid` as well",
    )
    timestamp: datetime = Field(default_factory=now, description="When the message was made (UTC); for people only")


class BaseRPCRequest(BaseRPCMessage):
    """Base of requests; without the parameters."""

    method: str = Field(
        min_length=1, max_length=100, pattern=r"^[a-zA-Z0-9_.]+$", description="Letters, digits, `_` and `.`"
    )
    reply_to: str = Field(min_length=1, max_length=200, description="Key of the Redis list that awaits the response")
    timeout: int = Field(
        default=30, ge=0, le=300, description="Seconds that the caller waits; 0: nobody waits (fire and forget)"
    )


class BaseRPCResponse(BaseRPCMessage):
    """Base of responses; without the result."""

    success: bool = Field(description="Whether the method returned a result")
    error: str | None = Field(default=None, max_length=1000, description="For people, if it did not")
    error_code: str | None = Field(
        default=None, max_length=50, description="An RPCErrorCode, or the text of an error that the method declares"
    )
