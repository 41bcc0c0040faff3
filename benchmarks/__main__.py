"""`python -m benchmarks [NAME]`: figures as ratios to a floor of the same run, rounds interleaved, the load noted."""

from __future__ import annotations

import asyncio
import os
import sys

from benchmarks import centrifugo_calls, grpc_commands, redis_rpc

BENCHMARKS = {
    "centrifugo_calls": lambda: asyncio.run(centrifugo_calls.main()),
    "redis_rpc": redis_rpc.main,
    "grpc_commands": grpc_commands.main,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    for name in names:
        print(f"## {name}\n\nload before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores\n")
        BENCHMARKS[name]()
        print(f"\nload after: {os.getloadavg()[0]:.2f}\n")


main()
