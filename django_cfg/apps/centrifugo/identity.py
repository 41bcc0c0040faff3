"""Pure: user ids and the names of channels that are made of them."""

from __future__ import annotations

import re
from typing import TypeAlias
from uuid import UUID

__all__ = ["REQUEST_CHANNEL", "USER_ID", "UserId", "is_user_id", "read_user_id", "user_channel"]

UserId: TypeAlias = str | int | UUID

REQUEST_CHANNEL = "rpc.requests"
USER_CHANNEL_PREFIX = "user#"
USER_ID_PATTERN = r"[A-Za-z0-9_.@-]{1,64}"
USER_ID = re.compile(USER_ID_PATTERN)


def is_user_id(value: object) -> bool:
    """No `,` (which opens `user#a,b` to both), no `#`, never empty (which would mean everybody who is anonymous)."""
    return isinstance(value, str) and USER_ID.fullmatch(value) is not None


def read_user_id(value: object) -> str:
    """A user's primary key as it stands in tokens and channels; raises ValueError for what cannot be one.

    That is also None, the key of visitors who have not signed in, and the user object itself.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        kind = "None" if value is None else f"a {type(value).__name__}"
        text = f"{kind} is no user id: pass the primary key of a user who has signed in"
        raise ValueError(text)  # noqa: TRY004 - one exception for everything that is no id, as documented
    text = str(value)
    if not is_user_id(text):
        raise ValueError(f"{text!r} cannot be a user id: use 1 to 64 characters of A-Z a-z 0-9 _ . @ -")
    return text


def user_channel(user_id: UserId) -> str:
    """The reply channel of a user; raises ValueError for an id that could reach somebody else's."""
    return USER_CHANNEL_PREFIX + read_user_id(user_id)
