"""Commands under random faults, in small; `make chaos` does it at full size."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.grpc.chaos.experiment import experiment
from tests.grpc.chaos.load import Pace


def test_no_promise_is_broken_under_random_faults(tmp_path: Path) -> None:
    """Replay with CHAOS_SEED: the same commands, and the same faults in the same order."""
    seed = int(os.environ.get("CHAOS_SEED", 0)) or random.randrange(1, 10**6)  # noqa: S311 - printed below

    report = experiment(tmp_path, seed=seed, commands=2000, pace=Pace())

    assert report.kept, f"\n{report}"
    assert report.faults.total() >= 3, f"\n{report}"
