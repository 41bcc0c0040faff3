"""Calls under random faults, in small; `make chaos` does it at full size."""

from __future__ import annotations

import os
import random
from pathlib import Path

from django_cfg.tests.websocket.redis_server import require_redis_server
from tests.redis.chaos.experiment import experiment
from tests.redis.chaos.load import Pace


def test_no_promise_is_broken_under_random_faults(tmp_path: Path) -> None:
    """Replay with CHAOS_SEED: the same calls, and the same faults in the same order."""
    require_redis_server()
    seed = int(os.environ.get("CHAOS_SEED", 0)) or random.randrange(1, 10**6)  # noqa: S311 - printed below

    report = experiment(tmp_path, seed=seed, calls=2000, pace=Pace(rest_seconds=0.5))

    assert report.kept, f"\n{report}"
    assert report.faults.total() >= 3, f"\n{report}"
