"""The methods that every server over Redis offers beside the project's own; no browser can reach them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from django_cfg.errors import PublishError, RPCError, RPCErrorCode
from django_cfg.models.websocket import (
    BatchNotificationRequest,
    BatchNotificationResponse,
    BroadcastRequest,
    BroadcastResponse,
    NotificationRequest,
    NotificationResponse,
)
from django_cfg.modules.django_rpc.broadcasts import broadcast
from django_cfg.rpc.delivery import Delivery, installed_delivery
from django_cfg.rpc.method import Handler, RPCMethodInfo, Transport
from django_cfg.rpc.permissions import IsService
from django_cfg.rpc.router import MessageRouter

__all__ = ["ServedRouter", "served_router"]


class ServedRouter(MessageRouter):
    """The project's methods as they are now, and behind them those registered here."""

    def __init__(self, project: MessageRouter) -> None:
        super().__init__()
        self.middleware = project.middleware
        self.default_permissions = project.default_permissions
        self._project = project

    def get(self, name: str) -> RPCMethodInfo | None:
        return self._project.get(name) or super().get(name)


def served_router(project: MessageRouter) -> ServedRouter:
    """In a process that cannot reach browsers the methods that send to them say so."""
    router = ServedRouter(project)
    methods = _Methods()
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


async def _echo(conn: Any, params: Any) -> Any:
    """Returns what it is given."""
    return params


async def _health(conn: Any, params: Any) -> dict[str, str]:
    """That this answer comes is the news."""
    return {"status": "ok"}


class _Methods:
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
            return BroadcastResponse(target=params.target, recipients=await broadcast(_browsers(), params))
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
        connections = await _browsers().to_user(notification.user_id, notification.notification_type, data)
        if not connections:
            return _away(notification, None)
        return NotificationResponse(
            user_id=notification.user_id, delivered=True, user_connected=True, connections=connections
        )


def _browsers() -> Delivery:
    """Asked for at each call: the edge that reaches browsers may start after whoever serves this."""
    delivery = installed_delivery()
    if delivery is None:
        raise RPCError(
            "this process has no way to browsers: that needs django_cfg.apps.centrifugo in INSTALLED_APPS, "
            "and, with redis_url='memory://', a caller inside runcentrifugo",
            code=RPCErrorCode.SERVICE_UNAVAILABLE,
            retryable=False,
        )
    return delivery


def _away(notification: NotificationRequest, error: str | None) -> NotificationResponse:
    return NotificationResponse(user_id=notification.user_id, delivered=False, user_connected=False, error=error)


def _undelivered(error: PublishError) -> RPCError:
    return RPCError(str(error), code=RPCErrorCode.SERVICE_UNAVAILABLE)
