"""Agents that come and go, in small; `make chaos` does it with 1,000, 20 times."""

from __future__ import annotations

from pathlib import Path

from tests.grpc.chaos.memory import tides


def test_agents_that_leave_take_their_memory_with_them(tmp_path: Path) -> None:
    found = tides(tmp_path, agents=250, times=24)  # fewer than that, and garbage that waits for its collection counts

    assert found.kept, f"\n{found}"
