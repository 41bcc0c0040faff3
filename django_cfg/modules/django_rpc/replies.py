"""Replies that have come on a list which several calls share, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

from django_cfg.errors import MalformedMessageError
from django_cfg.modules.django_rpc.client_metrics import unknown_replies
from django_cfg.modules.django_rpc.connecting import Command
from django_cfg.modules.django_rpc.protocol import read_response
from django_cfg.rpc.call import Reply

__all__ = ["pop_command", "read_replies"]

AT_ONCE = 100


def pop_command(reply_list: str, seconds: float) -> Command:
    """Waits so long for the first of them; the oldest come first."""
    return ("BLMPOP", f"{seconds:.3f}", 1, reply_list, "RIGHT", "COUNT", AT_ONCE)


def read_replies(popped: Sequence[Sequence[bytes]] | None) -> list[tuple[str, Reply]]:
    """Correlation ids and replies. Where nobody can be found in one, its caller learns from the call's record."""
    replies: list[tuple[str, Reply]] = []
    for message in popped[1] if popped else ():
        try:
            correlation_id, reply = read_response(message)
        except MalformedMessageError:
            unknown_replies.inc()
        else:
            replies.append((correlation_id or "", reply))
    return replies
