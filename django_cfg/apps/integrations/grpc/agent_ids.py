"""Pure: how an agent is named. A row's primary key is taken for its text: agents know themselves by no other."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

__all__ = ["AgentId", "agent_id_of"]

AgentId: TypeAlias = str | int | UUID


def agent_id_of(given: object) -> str:
    """Raises TypeError for what no agent's id is made of."""
    if isinstance(given, str):
        return given
    if isinstance(given, int | UUID) and not isinstance(given, bool):
        return str(given)
    raise TypeError(f"client_id must be an agent's id: a text, an int or a UUID, not {given!r:.60}")
