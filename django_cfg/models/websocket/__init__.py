"""The wire: pydantic models only."""

from django_cfg.models.websocket.errors import RPCError, RPCErrorCode

__all__ = ["RPCError", "RPCErrorCode"]
