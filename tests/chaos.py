"""`make chaos`: the long fault suites; prints the seed, with which a run is repeated."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import django


class Found(Protocol):
    @property
    def kept(self) -> bool: ...


def parts(chosen: argparse.Namespace, seed: int) -> dict[str, Callable[[Path], Found]]:
    """Each runs in a directory of its own."""
    from tests.grpc.chaos import experiment as of_grpc
    from tests.grpc.chaos.load import Pace as PaceOfCommands
    from tests.grpc.chaos.memory import tides
    from tests.grpc.chaos.storm import storm
    from tests.redis.chaos import experiment as of_redis
    from tests.redis.chaos.load import Pace as PaceOfCalls
    from tests.redis.chaos.memory import grow
    from tests.redis.chaos.rolling import roll

    calls, commands = PaceOfCalls(rest_seconds=0.3), PaceOfCommands()
    return {
        "redis.ledger": lambda place: of_redis.experiment(place, seed=seed, calls=chosen.calls, pace=calls),
        "redis.rolling": lambda place: roll(place, restarts=chosen.restarts),
        "redis.memory": lambda place: grow(place, calls=chosen.memory_calls),
        "grpc.ledger": lambda place: of_grpc.experiment(place, seed=seed, commands=chosen.commands, pace=commands),
        "grpc.storm": lambda place: storm(place, agents=chosen.agents),
        "grpc.memory": lambda place: tides(place, agents=chosen.memory_agents, times=chosen.tides),
    }


def main() -> int:
    parser = build_parser()
    chosen = parser.parse_args()
    seed = chosen.seed or random.randrange(1, 10**6)  # noqa: S311 - printed below
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    runs = parts(chosen, seed)
    wanted = [name for name in runs if not chosen.parts or set(chosen.parts) & {name, *name.split(".")}]
    if not wanted:
        parser.error(f"the parts are {', '.join(runs)}, or one side of the dot")
    broken = [name for name in wanted if not kept(name, runs[name], seed)]
    return 1 if broken else 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    told = "such as grpc.ledger, or grpc for all of gRPC, or ledger for those of both; all parts by default"
    parser.add_argument("parts", nargs="*", metavar="PART", help=told)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED", 0)), help="or CHAOS_SEED")
    for option, default, told in (
        ("--calls", 20_000, "over Redis under random faults"),
        ("--restarts", 200, "rolling restarts of servers behind Redis"),
        ("--memory-calls", 100_000, "over Redis for the memory run"),
        ("--commands", 20_000, "over gRPC under random faults"),
        ("--agents", 2_000, "that come back at once"),
        ("--memory-agents", 1_000, "for the memory run over gRPC"),
        ("--tides", 20, "how often they come and leave"),
    ):
        parser.add_argument(option, type=int, default=default, help=f"{told} (default {default})")
    return parser


def kept(name: str, run: Callable[[Path], Found], seed: int) -> bool:
    say(f"{name}: begins (CHAOS_SEED={seed})")
    with tempfile.TemporaryDirectory() as directory:
        found = run(Path(directory))
    say(f"{name}: {'kept' if found.kept else 'BROKEN'}: {found}")
    return found.kept


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
