"""Notifications to single users: `send_notification` and `send_batch_notification`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, cast

from pydantic import (
    AliasChoices,
    AwareDatetime,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from django_cfg.models.websocket.base import EventName, UserId, WireModel
from django_cfg.models.websocket.json_object import JsonObject

__all__ = [
    "BatchNotificationRequest",
    "BatchNotificationResponse",
    "NotificationPriority",
    "NotificationRequest",
    "NotificationResponse",
]

LARGEST_BATCH = 1000


class NotificationPriority(StrEnum):
    """How the receiving page should show a notification; delivery is the same for all."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class NotificationRequest(WireModel):
    """Send a notification to all connections of one user."""

    user_id: UserId = Field(description="Who receives it")
    notification_type: EventName = Field(
        validation_alias=AliasChoices("notification_type", "type"),
        description="What it is about, for programs; its older name `type` is read, and written into JSON as well",
    )
    title: str = Field(min_length=1, max_length=200, description="One line for people")
    message: str = Field(min_length=1, max_length=2000, description="The text")
    priority: NotificationPriority = Field(default=NotificationPriority.NORMAL, description="How to show it")
    data: JsonObject | None = Field(default=None, description="More for programs")
    expires_at: AwareDatetime | None = Field(default=None, description="Not delivered after this moment")

    @model_serializer(mode="wrap")
    def _with_older_name(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        fields: dict[str, Any] = dump(self)
        if info.mode_is_json() and "notification_type" in fields:
            fields["type"] = fields["notification_type"]  # all that a django-ipc server looks for
        return fields


class NotificationResponse(WireModel):
    """What became of a notification."""

    user_id: str = Field(description="Who should receive it")
    delivered: bool = Field(description="Whether it was handed to at least one connection of the user")
    user_connected: bool = Field(description="Whether the user had a connection")
    connections: int = Field(default=0, ge=0, description="How many connections it was handed to")
    error: str | None = Field(default=None, description="Why it was not delivered")
    queued_for_later: bool = Field(default=False, description="Whether it is kept until the user connects")

    @model_validator(mode="before")
    @classmethod
    def _of_older_server(cls, data: Any) -> Any:
        """A django-ipc server says only how many connections received it."""
        if isinstance(data, dict):
            given = cast("dict[str, Any]", data)
            if "user_connected" not in given and isinstance(given.get("connections"), int):
                return {**given, "user_connected": given["connections"] > 0}
        return cast("object", data)


class BatchNotificationRequest(WireModel):
    """Send many notifications by one call."""

    notifications: list[NotificationRequest] = Field(min_length=1, max_length=LARGEST_BATCH, description="What to send")


class BatchNotificationResponse(WireModel):
    """What became of a batch."""

    total: int = Field(ge=0, description="Notifications in the batch")
    delivered: int = Field(ge=0, description="Of them, delivered")
    failed: int = Field(ge=0, description="Of them, not delivered")
    results: list[NotificationResponse] = Field(description="One for each notification, in the order of the request")
