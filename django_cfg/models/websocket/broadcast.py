"""Messages to many users: the method `broadcast`, and what `rpc.broadcast` publishes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, model_validator

from django_cfg.models.websocket.base import EventName, UserId, WireModel
from django_cfg.models.websocket.json_object import JsonObject

__all__ = ["BroadcastRequest", "BroadcastResponse", "BroadcastTarget"]

BroadcastTarget = Literal["all", "room", "user", "users"]
_OLDER_TYPE = "info"
"""What an older caller means who names no type."""

_ADDRESS = {"room": "room", "user": "user_id", "users": "user_ids"}


class BroadcastRequest(WireModel):
    """Send one event to everybody, to a room, to one user or to several; exactly the target's own field is given."""

    target: BroadcastTarget = Field(description="Who receives it")
    event_type: EventName = Field(description="Name of the event that browsers receive")
    payload: JsonObject = Field(description="The event's data")
    room: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="For the target `room`"
    )
    user_id: UserId | None = Field(default=None, description="For the target `user`")
    user_ids: Annotated[list[UserId], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="For the target `users`"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_older_caller(cls, data: Any) -> Any:
        """django-ipc has `type`, `title`, `message` and `data` for the name of the event and what it says."""
        if not isinstance(data, dict):
            return cast("object", data)
        given = cast("dict[str, Any]", data)
        if "message" not in given or "event_type" in given or "payload" in given:
            return given
        said = {key: given[key] for key in ("title", "message", "data") if given.get(key) is not None}
        return {**given, "event_type": given.get("type", _OLDER_TYPE), "payload": said}

    @model_validator(mode="after")
    def _address_fits_target(self) -> BroadcastRequest:
        """A message meant for few must not reach all because its target was forgotten."""
        for target, field in _ADDRESS.items():
            given = getattr(self, field) is not None
            if given and target != self.target:
                raise ValueError(f"{field} is given, but the target is {self.target!r}, not {target!r}")
            if not given and target == self.target:
                raise ValueError(f"the target {target!r} needs {field}")
        return self


class BroadcastResponse(WireModel):
    """Where a broadcast went."""

    target: BroadcastTarget = Field(description="As in the request")
    recipients: int = Field(ge=0, description="Connections that it was handed to")
