"""The port through which events reach browsers by user and room, and tell how many they have reached."""

from __future__ import annotations

from typing import Any, Protocol

from django_cfg.rpc.provided import Provided

__all__ = ["Delivery", "installed_delivery", "use_delivery"]


class Delivery(Protocol):
    """From any event loop. Each returns how many connections the event was handed to.

    They raise PublishError, and ValueError for a user or a room that there cannot be.
    """

    async def to_user(self, user_id: str, event: str, data: Any) -> int: ...

    async def to_room(self, room: str, event: str, data: Any) -> int: ...

    async def to_all(self, event: str, data: Any) -> int: ...


_provided = Provided[Delivery]()
use_delivery = _provided.use
installed_delivery = _provided.installed
