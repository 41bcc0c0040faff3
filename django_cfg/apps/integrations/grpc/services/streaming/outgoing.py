"""Pure: whether a command can be written to its stream at all; one that cannot would end the stream for all others."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

__all__ = ["NotWritableError", "Outgoing", "current_outgoing"]


class NotWritableError(ValueError):
    """Its text may be told to whoever has sent the command."""


class Outgoing(NamedTuple):
    """How the server writes the messages of one method, and how large they may be."""

    serialize: Callable[[Any], bytes] | None
    """None where commands are bytes themselves."""
    most_bytes: int

    def check(self, command: Any) -> None:
        """Raises NotWritableError."""
        try:
            written: object = command if self.serialize is None else self.serialize(command)
        except Exception as error:
            raise NotWritableError(f"a {type(command).__name__} is not what this stream's commands are") from error
        if not isinstance(written, bytes):
            raise NotWritableError(f"a {type(command).__name__} is not written as bytes")
        if len(written) > self.most_bytes:
            text = f"it has {len(written)} bytes, and GRPC['max_message_bytes'] allows {self.most_bytes}"
            raise NotWritableError(text)


current_outgoing: ContextVar[Outgoing | None] = ContextVar("django_cfg_grpc_outgoing", default=None)
"""Of the stream that this task answers; None where the server does not say."""
