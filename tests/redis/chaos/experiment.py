"""One run: callers, servers and faults until the last call has ended, then the ledgers are compared."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from tests.faults.ledger import read_all
from tests.faults.report import Findings, Report
from tests.faults.rounds import rounds
from tests.redis.chaos.accounts import accounts, started_redis
from tests.redis.chaos.checker import check, story
from tests.redis.chaos.ledger import Effect, Intent, Outcome, Run
from tests.redis.chaos.load import Load, Pace
from tests.redis.chaos.nemesis import Site, choose

__all__ = ["experiment"]

STORIES = 5


def experiment(directory: Path, *, seed: int, calls: int, pace: Pace, servers: int = 3) -> Report:
    with started_redis(directory, "--appendonly", "yes", "--appendfsync", "always") as redis:
        site = Site(directory, redis, servers)
        try:
            return _experiment(site, seed, calls, pace)
        finally:
            site.close()


def _experiment(site: Site, seed: int, calls: int, pace: Pace) -> Report:
    config = WebSocketRPCConfig(enabled=True, redis_url=site.callers_url, stream_maxlen=100_000, response_key_ttl=5)
    load = Load(config, site.ledger, seed=seed, calls=calls, pace=pace)
    started = time.monotonic()
    load.start()
    faults: Counter[str] = Counter()
    for faults in rounds(site, random.Random(seed), choose):  # noqa: B007, S311 - the last one is wanted; a repeatable plan
        if load.done:
            break
    load.finish()
    seconds = time.monotonic() - started
    with site.redis.client() as redis:
        left = accounts(redis)
    findings, stories = _compared(site.ledger)
    return Report(seed, calls, seconds, findings, faults, left, site.unclean_exits, stories)


def _compared(ledger: Path) -> tuple[Findings, list[str]]:
    tables = read_all(ledger, Intent), read_all(ledger, Outcome), read_all(ledger, Run), read_all(ledger, Effect)
    findings = check(*tables)
    broken = dict.fromkeys(call for calls in findings.broken.values() for call in calls)
    return findings, [line for call in list(broken)[:STORIES] for line in story(call, *tables)]
