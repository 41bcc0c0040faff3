"""Who may call a method: `@websocket_rpc(name, permissions=[...])`, classes or functions `(conn, method) -> bool`."""

from __future__ import annotations

from typing import Any

from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["AllowAny", "IsAuthenticated", "IsService"]


class IsAuthenticated:
    """A user whom the broker has authenticated, or a service that speaks for itself."""

    def __call__(self, conn: Any, method: RPCMethodInfo) -> bool:
        return bool(conn.user_id) or bool(conn.is_service)


class IsService:
    """Only another process of the project, never a browser."""

    def __call__(self, conn: Any, method: RPCMethodInfo) -> bool:
        return bool(conn.is_service)


class AllowAny:
    """Everybody who reaches the transport; Centrifugo's still refuses callers without a user."""

    def __call__(self, conn: Any, method: RPCMethodInfo) -> bool:
        return True
