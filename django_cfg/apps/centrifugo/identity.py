"""Pure: user ids and the names of channels that are made of them."""

from __future__ import annotations

import re

__all__ = ["REQUEST_CHANNEL", "USER_ID", "is_user_id", "user_channel"]

REQUEST_CHANNEL = "rpc.requests"
USER_CHANNEL_PREFIX = "user#"
USER_ID_PATTERN = r"[A-Za-z0-9_.@-]{1,64}"
USER_ID = re.compile(USER_ID_PATTERN)


def is_user_id(value: object) -> bool:
    """No `,` (which opens `user#a,b` to both), no `#`, never empty (which would mean everybody who is anonymous)."""
    return isinstance(value, str) and USER_ID.fullmatch(value) is not None


def user_channel(user_id: str) -> str:
    """The reply channel of a user; raises ValueError for an id that could reach somebody else's."""
    if not is_user_id(user_id):
        raise ValueError(f"{user_id!r} cannot be a user id: use 1 to 64 characters of A-Z a-z 0-9 _ . @ -")
    return USER_CHANNEL_PREFIX + user_id
