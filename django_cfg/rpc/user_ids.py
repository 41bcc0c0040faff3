"""Pure: what can be the id of a user, in every part."""

from __future__ import annotations

import re
from typing import TypeAlias, cast
from uuid import UUID

__all__ = ["USER_ID", "USER_ID_PATTERN", "UserId", "is_user_id", "read_user_id"]

UserId: TypeAlias = str | int | UUID

USER_ID_PATTERN = r"[A-Za-z0-9_.@-]{1,64}"
USER_ID = re.compile(USER_ID_PATTERN)


def is_user_id(value: object) -> bool:
    """No `,` (which opens `user#a,b` to both), no `#`, never empty (which would mean everybody who is anonymous)."""
    return isinstance(value, str) and USER_ID.fullmatch(value) is not None


def read_user_id(value: UserId) -> str:
    """A user's primary key as it stands in tokens, channels and requests; raises ValueError for what cannot be one.

    That is also None, the key of visitors who have not signed in, and the user object itself.
    """
    given = cast("object", value)
    if isinstance(given, bool) or not isinstance(given, str | int | UUID):
        kind = "None" if given is None else f"a {type(given).__name__}"
        text = f"{kind} is no user id: pass the primary key of a user who has signed in"
        raise ValueError(text)  # noqa: TRY004 - one exception for everything that is no id, as documented
    text = str(given)
    if not is_user_id(text):
        raise ValueError(f"{text!r} cannot be a user id: use 1 to 64 characters of A-Z a-z 0-9 _ . @ -")
    return text
