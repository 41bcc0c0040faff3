"""The runner's claims where the stream's records have already decided what runs."""

from __future__ import annotations

from collections.abc import Hashable

from django_cfg.rpc.claims import Decision, Verdict

__all__ = ["NoClaims"]


class NoClaims:
    """Every call that gets here is to run."""

    async def claim(
        self, key: Hashable, mark: bytes, *, lease_seconds: float, keep_seconds: float, idempotent: bool
    ) -> Decision:
        return Decision(Verdict.RUN)

    async def finish(self, key: Hashable, reply: bytes) -> None:
        """The record is written together with the reply."""
