"""Errors as they stand on a wire. The exceptions of like names are in `django_cfg.errors`."""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field, model_validator

from django_cfg.errors import RPCErrorCode
from django_cfg.models.websocket.base import WireModel

__all__ = [
    "RPCError",
    "RPCErrorCode",
    "RPCValidationError",
    "RateLimitError",
    "TimeoutError",
    "UserNotConnectedError",
]


class RPCError(WireModel):
    """Why a call failed; unless it says otherwise, `retryable` follows from the code."""

    code: RPCErrorCode | str = Field(
        union_mode="left_to_right", description="An RPCErrorCode, or the text of an error that the method declares"
    )
    message: str = Field(min_length=1, max_length=500, description="For people; never empty")
    details: dict[str, Any] | None = Field(default=None, description="For programs; depends on the code")
    retryable: bool = Field(
        default=False, description="Whether the same call may be made again; as the code says, unless given"
    )
    retry_after: float | None = Field(default=None, ge=0, description="Seconds to wait before that")

    @model_validator(mode="before")
    @classmethod
    def _retryable_by_code(cls, data: Any) -> Any:
        if isinstance(data, dict):
            given = cast("dict[str, Any]", data)
            code = given.get("code", cls.model_fields["code"].default)
            if "retryable" not in given and code in RPCErrorCode.__members__.values():
                return {**given, "retryable": RPCErrorCode(code).retryable}
        return cast("object", data)


class RPCValidationError(RPCError):
    """Data that does not fit its model."""

    code: RPCErrorCode | str = Field(default=RPCErrorCode.VALIDATION_ERROR, description="`validation_error`")
    validation_errors: list[dict[str, Any]] = Field(description="One for each place in the data that does not fit")


class TimeoutError(RPCError):  # noqa: A001 - the users' name
    """No result in time."""

    code: RPCErrorCode | str = Field(default=RPCErrorCode.TIMEOUT, description="`timeout`")
    timeout_seconds: float = Field(ge=0, description="How long was waited")


class UserNotConnectedError(RPCError):
    """The user is away."""

    code: RPCErrorCode | str = Field(default=RPCErrorCode.USER_NOT_CONNECTED, description="`user_not_connected`")
    user_id: str = Field(min_length=1, max_length=100, description="Who")


class RateLimitError(RPCError):
    """This caller has made too many calls."""

    code: RPCErrorCode | str = Field(default=RPCErrorCode.RATE_LIMIT_EXCEEDED, description="`rate_limit_exceeded`")
    limit: int = Field(ge=1, description="Calls that are allowed")
    window_seconds: float = Field(gt=0, description="In this time")
