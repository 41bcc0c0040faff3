"""An error as it stands on a wire. The exception of the same name is `django_cfg.errors.RPCError`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from django_cfg.errors import RPCErrorCode

__all__ = ["RPCError", "RPCErrorCode"]


class RPCError(BaseModel):
    """`code` is an RPCErrorCode, or the text of an error that the method declares. `retry_after` is in seconds."""

    model_config = ConfigDict(frozen=True)

    code: RPCErrorCode | str = Field(union_mode="left_to_right", description="Why the call failed")
    message: str = Field(min_length=1, max_length=500, description="For people; never empty")
    details: dict[str, Any] | None = Field(default=None, description="For programs; depends on the code")
    retryable: bool = Field(default=False, description="Whether the same call may be made again")
    retry_after: float | None = Field(default=None, ge=0, description="Seconds to wait before that")
