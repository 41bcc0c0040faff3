"""One run: callers, a server, agents and faults until the last command has ended, then the ledgers are compared."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.faults.ledger import read_all
from tests.faults.report import Findings, Report
from tests.faults.rounds import rounds
from tests.grpc.chaos.checker import Books, check
from tests.grpc.chaos.ledger import Answer, Effect, Order, Receipt, Run, Stream
from tests.grpc.chaos.load import Load, Pace
from tests.grpc.chaos.nemesis import Deck, Site

__all__ = ["experiment"]

STORIES = 5
LEAVING_SECONDS = 10.0


def experiment(directory: Path, *, seed: int, commands: int, pace: Pace, agents: int = 8) -> Report:
    site = Site(directory, agents, keepalive_seconds=1, keepalive_timeout_seconds=1)
    try:
        return _experiment(site, seed, commands, pace)
    finally:
        site.close()


def _experiment(site: Site, seed: int, commands: int, pace: Pace) -> Report:
    ids = [post.agent_id for post in site.posts]
    load = Load(site.callers.port, ids, site.ledger, seed=seed, commands=commands, pace=pace)
    started = time.monotonic()
    load.start()
    faults: Counter[str] = Counter()
    for faults in rounds(site, random.Random(seed), Deck().choose):  # noqa: B007, S311 - the last one is wanted; a repeatable plan
        if load.done:
            break
    load.finish()
    seconds = time.monotonic() - started
    left = _left(site)
    findings, stories = _compared(site.ledger)
    return Report(seed, commands, seconds, findings, faults, left, site.unclean_exits, stories)


def _left(site: Site) -> list[str]:
    """Complaints: agents that the server believes to be there when all are gone, and what it never expected."""
    for post in site.posts:
        post.kill()
    deadline = time.monotonic() + LEAVING_SECONDS
    while (ghosts := site.connected()) and time.monotonic() < deadline:
        time.sleep(0.05)
    site.server.send(signal.SIGTERM)
    site.expect_order(site.server)
    crashes = [server.log[-2000:] for server in site.servers if "Traceback" in server.log]
    return [f"still connected: {ghost}" for ghost in ghosts] + crashes


def _compared(ledger: Path) -> tuple[Findings, list[str]]:
    books = Books(
        read_all(ledger, Order),
        read_all(ledger, Answer),
        read_all(ledger, Stream),
        read_all(ledger, Receipt),
        read_all(ledger, Run),
        read_all(ledger, Effect),
    )
    findings = check(books)
    broken = dict.fromkeys(command for commands in findings.broken.values() for command in commands)
    return findings, [line for command in list(broken)[:STORIES] for line in books.story(command)]
