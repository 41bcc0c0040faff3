"""`make chaos`: the long fault suite; prints its seed, with which a run is repeated."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.redis.chaos.experiment import Report, experiment
from tests.redis.chaos.load import Pace
from tests.redis.chaos.memory import Grown, grow
from tests.redis.chaos.rolling import Rolled, roll

PARTS = ("ledger", "rolling", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.redis.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED", 0)), help="or CHAOS_SEED")
    parser.add_argument("--calls", type=int, default=20_000, help="under random faults (default 20000)")
    parser.add_argument("--restarts", type=int, default=200, help="rolling restarts (default 200)")
    parser.add_argument("--memory-calls", type=int, default=100_000, help="for the memory run (default 100000)")
    chosen = parser.parse_args()
    seed = chosen.seed or random.randrange(1, 10**6)  # noqa: S311 - printed below
    work: dict[str, Callable[[Path], Report | Rolled | Grown]] = {
        "ledger": lambda place: experiment(place, seed=seed, calls=chosen.calls, pace=Pace(rest_seconds=0.3)),
        "rolling": lambda place: roll(place, restarts=chosen.restarts),
        "memory": lambda place: grow(place, calls=chosen.memory_calls),
    }
    kept = True
    for name in chosen.parts or PARTS:
        say(f"{name}: begins (CHAOS_SEED={seed})")
        with tempfile.TemporaryDirectory() as directory:
            report = work[name](Path(directory))
        say(f"{name}: {'kept' if report.kept else 'BROKEN'}: {report}")
        kept = kept and report.kept
    return 0 if kept else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
