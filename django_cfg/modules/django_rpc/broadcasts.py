"""Messages to many: who receives a BroadcastRequest, and what `rpc.broadcast` publishes."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from django_cfg.errors import PublishError, RPCError
from django_cfg.models.websocket import BroadcastRequest
from django_cfg.rpc.delivery import Delivery, deliver_all
from django_cfg.rpc.logs import about
from django_cfg.rpc.user_ids import read_user_id

__all__ = ["BROADCAST_CHANNEL", "broadcast", "deliver_published"]

logger = logging.getLogger("django_cfg.rpc.redis")

BROADCAST_CHANNEL = "notifications:broadcast"


async def broadcast(delivery: Delivery, message: BroadcastRequest) -> int:
    """How many connections it was handed to; raises PublishError, and ValueError for who cannot be."""
    if message.target == "all":
        return await delivery.to_all(message.event_type, message.payload)
    if message.target == "room":
        return await delivery.to_room(message.room or "", message.event_type, message.payload)
    users = [message.user_id or ""] if message.target == "user" else message.user_ids or []
    known = dict.fromkeys(map(read_user_id, users))  # all of them before the first is sent anything
    return await deliver_all(delivery.to_user(user, message.event_type, message.payload) for user in known)


async def deliver_published(delivery: Delivery, message: bytes) -> None:
    """What was published on BROADCAST_CHANNEL; nobody waits for the outcome, so faults are logged."""
    try:
        await broadcast(delivery, BroadcastRequest.model_validate_json(message))
    except ValidationError as error:
        logger.warning("a broadcast is no BroadcastRequest: %d faults", error.error_count(), extra=about())
    except (PublishError, RPCError, ValueError) as error:
        logger.warning("a broadcast did not reach browsers: %s", error, extra=about())
    except Exception:
        logger.exception("a broadcast failed", extra=about())
