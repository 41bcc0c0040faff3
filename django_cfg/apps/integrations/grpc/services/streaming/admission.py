"""Pure: whether an agent may open a stream under the id that it claims."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.identity import LONGEST_ID, is_id
from django_cfg.apps.integrations.grpc.services.streaming.session import Ending

__all__ = ["refusal_of"]


def refusal_of(claimed: object, authenticated: str | None) -> Ending | None:
    """`authenticated` is None where agents prove nothing, so that the claim has to do."""
    if not isinstance(claimed, str) or not claimed.strip():
        return Ending("INVALID_ARGUMENT", "the first message must carry the agent's id")
    if not is_id(claimed):
        return Ending("INVALID_ARGUMENT", f"an agent's id has 1 to {LONGEST_ID} printable characters")
    if authenticated is not None and claimed != authenticated:
        return Ending("PERMISSION_DENIED", "the agent's id is not the one that its credentials name")
    return None
