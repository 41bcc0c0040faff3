"""Pure: user ids and the names of channels that are made of them."""

from __future__ import annotations

from django_cfg.rpc.user_ids import USER_ID, USER_ID_PATTERN, UserId, is_user_id, read_user_id

__all__ = [
    "REQUEST_CHANNEL",
    "USER_CHANNEL_PREFIX",
    "USER_ID",
    "USER_ID_PATTERN",
    "UserId",
    "is_user_id",
    "read_user_id",
    "user_channel",
]

REQUEST_CHANNEL = "rpc.requests"
USER_CHANNEL_PREFIX = "user#"


def user_channel(user_id: UserId) -> str:
    """The reply channel of a user; raises ValueError for an id that could reach somebody else's."""
    return USER_CHANNEL_PREFIX + read_user_id(user_id)
