"""The methods that every server over Redis offers beside the project's own; no browser can reach them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Protocol

from django_cfg.errors import PublishError, RPCError, RPCErrorCode
from django_cfg.models.websocket import (
    BatchNotificationRequest,
    BatchNotificationResponse,
    BroadcastRequest,
    BroadcastResponse,
    NotificationRequest,
    NotificationResponse,
)
from django_cfg.rpc.method import Handler, RPCMethodInfo, Transport
from django_cfg.rpc.permissions import IsService
from django_cfg.rpc.router import MessageRouter

__all__ = ["Delivery", "ServedRouter", "broadcast", "served_router"]


class Delivery(Protocol):
    """How events reach browsers. Each method returns to how many connections; they raise PublishError."""

    async def to_user(self, user_id: str, event: str, data: Any) -> int: ...

    async def to_room(self, room: str, event: str, data: Any) -> int: ...

    async def to_all(self, event: str, data: Any) -> int: ...


class ServedRouter(MessageRouter):
    """The project's methods as they are now, and behind them those registered here."""

    def __init__(self, project: MessageRouter) -> None:
        super().__init__()
        self.middleware = project.middleware
        self._project = project

    def get(self, name: str) -> RPCMethodInfo | None:
        return self._project.get(name) or super().get(name)


def served_router(project: MessageRouter, delivery: Delivery | None) -> ServedRouter:
    """Without `delivery` the methods that send to browsers say so."""
    router = ServedRouter(project)
    methods = _Methods(delivery)
    handlers: dict[str, Handler] = {
        "send_notification": methods.send_notification,
        "send_batch_notification": methods.send_batch_notification,
        "broadcast": methods.broadcast,
        "echo": _echo,
        "health": _health,
    }
    for name, handler in handlers.items():
        router.register_handler(name, handler, permissions=[IsService], transports=[Transport.REDIS])
    return router


async def broadcast(delivery: Delivery, message: BroadcastRequest) -> int:
    """How many connections it was handed to; raises PublishError."""
    if message.target == "all":
        return await delivery.to_all(message.event_type, message.payload)
    if message.target == "room":
        return await delivery.to_room(message.room or "", message.event_type, message.payload)
    users = [message.user_id or ""] if message.target == "user" else message.user_ids or []
    sent = (delivery.to_user(user, message.event_type, message.payload) for user in dict.fromkeys(users))
    return sum(await asyncio.gather(*sent))


async def _echo(conn: Any, params: Any) -> Any:
    """Returns what it is given."""
    return params


async def _health(conn: Any, params: Any) -> dict[str, str]:
    """That this answer comes is the news."""
    return {"status": "ok"}


class _Methods:
    def __init__(self, delivery: Delivery | None) -> None:
        self._given = delivery

    async def send_notification(self, conn: Any, params: NotificationRequest) -> NotificationResponse:
        """Calls the handlers of `on(notification_type, ...)` in every open client of the user."""
        try:
            return await self._send(params)
        except PublishError as error:
            raise _undelivered(error) from error

    async def send_batch_notification(self, conn: Any, params: BatchNotificationRequest) -> BatchNotificationResponse:
        """One that fails does not keep the others back."""
        results = await asyncio.gather(*map(self._sent, params.notifications))
        delivered = sum(result.delivered for result in results)
        return BatchNotificationResponse(
            total=len(results), delivered=delivered, failed=len(results) - delivered, results=results
        )

    async def broadcast(self, conn: Any, params: BroadcastRequest) -> BroadcastResponse:
        """Calls the handlers of `on(event_type, ...)`; a room is a Centrifugo channel."""
        try:
            return BroadcastResponse(target=params.target, recipients=await broadcast(self._delivery(), params))
        except PublishError as error:
            raise _undelivered(error) from error

    async def _sent(self, notification: NotificationRequest) -> NotificationResponse:
        try:
            return await self._send(notification)
        except (PublishError, ValueError) as error:
            return _away(notification, str(error))

    async def _send(self, notification: NotificationRequest) -> NotificationResponse:
        if notification.expires_at is not None and notification.expires_at <= datetime.now(UTC):
            return _away(notification, "the notification had expired")
        data = notification.model_dump(mode="json", exclude={"user_id"}, exclude_none=True)
        connections = await self._delivery().to_user(notification.user_id, notification.notification_type, data)
        if not connections:
            return _away(notification, None)
        return NotificationResponse(
            user_id=notification.user_id, delivered=True, user_connected=True, connections=connections
        )

    def _delivery(self) -> Delivery:
        if self._given is None:
            raise RPCError(
                "this server has no way to browsers: add django_cfg.apps.centrifugo to INSTALLED_APPS",
                code=RPCErrorCode.SERVICE_UNAVAILABLE,
                retryable=False,
            )
        return self._given


def _away(notification: NotificationRequest, error: str | None) -> NotificationResponse:
    return NotificationResponse(user_id=notification.user_id, delivered=False, user_connected=False, error=error)


def _undelivered(error: PublishError) -> RPCError:
    return RPCError(str(error), code=RPCErrorCode.SERVICE_UNAVAILABLE)
