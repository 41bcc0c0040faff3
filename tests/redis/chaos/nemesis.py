"""Faults, each begun and ended: what is killed is replaced, what is paused goes on, what is cut heals."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django_cfg.tests.websocket.redis_server import RedisServer
from tests.faults.proxy import Proxy
from tests.faults.rounds import Fault
from tests.redis.processes import Process

__all__ = ["FAULTS", "Site", "choose"]

SETTINGS = "tests.redis.chaos.settings"
LONGEST_PAUSE_SECONDS = 7.5
"""More than a server may be silent before others take over what it has."""


class Site:
    """A Redis, servers that reach it through one proxy, and callers that reach it through another."""

    def __init__(self, directory: Path, redis: RedisServer, servers: int) -> None:
        self.redis = redis
        self.ledger = directory / "ledger"
        self.callers, self.links = Proxy(redis.port), Proxy(redis.port)
        self._directory = directory
        self.unclean_exits: list[str] = []
        self.servers = [self.start() for _ in range(servers)]
        for server in self.servers:
            server.until_serving()

    @property
    def callers_url(self) -> str:
        return f"redis://127.0.0.1:{self.callers.port}/2"

    def start(self) -> Process:
        url = f"redis://127.0.0.1:{self.links.port}/2"
        return Process(self._directory, url, "rpc_server", DJANGO_SETTINGS_MODULE=SETTINGS)

    def take(self, chance: random.Random) -> Process:
        """Any server that no other fault has taken."""
        return self.servers.pop(chance.randrange(len(self.servers)))

    def expect_order(self, server: Process) -> None:
        """It was told to stop: it ends, and says that it has answered everything."""
        if (status := server.wait()) != 0:
            self.unclean_exits.append(f"status {status}\n{server.log[-2000:]}")

    def close(self) -> None:
        self.heal()
        for server in self.servers:
            server.clean_up()
        self.callers.close()
        self.links.close()

    def heal(self) -> None:
        for proxy in (self.callers, self.links):
            proxy.release()


@contextmanager
def server_killed(site: Site, chance: random.Random) -> Generator[None]:
    site.take(chance).end(signal.SIGKILL)
    yield
    site.servers.append(site.start().until_serving())


@contextmanager
def server_stopped(site: Site, chance: random.Random) -> Generator[None]:
    """With whatever else happens while it finishes what it has begun."""
    taken = site.take(chance)
    taken.send(signal.SIGTERM)
    yield
    site.servers.append(site.start().until_serving())
    site.expect_order(taken)


@contextmanager
def server_paused(site: Site, chance: random.Random) -> Generator[None]:
    taken = site.take(chance)
    taken.send(signal.SIGSTOP)
    try:
        yield
        time.sleep(chance.choice((0.2, LONGEST_PAUSE_SECONDS)))
    finally:
        taken.send(signal.SIGCONT)
        site.servers.append(taken)


@contextmanager
def redis_restarted(site: Site, chance: random.Random) -> Generator[None]:
    site.redis.stop()
    yield
    site.redis.start()


@contextmanager
def redis_killed(site: Site, chance: random.Random) -> Generator[None]:
    site.redis.kill()
    yield
    site.redis.start()


@contextmanager
def redis_paused(site: Site, chance: random.Random) -> Generator[None]:
    site.redis.signal(signal.SIGSTOP)
    yield
    site.redis.signal(signal.SIGCONT)


@contextmanager
def links_reset(site: Site, chance: random.Random) -> Generator[None]:
    chance.choice((site.callers, site.links)).reset()
    yield


@contextmanager
def link_silent(site: Site, chance: random.Random) -> Generator[None]:
    """In one direction or both; sometimes for so long that servers count as dead, and are not."""
    proxy = chance.choice((site.callers, site.links))
    way = chance.choice((proxy, proxy.up, proxy.down))
    way.hold()
    yield
    time.sleep(chance.choice((0.2, 1.0, LONGEST_PAUSE_SECONDS)))
    way.release()


@contextmanager
def weather(site: Site, chance: random.Random) -> Generator[None]:
    """Late, out of step, in small pieces."""
    ways = (site.callers.up, site.callers.down, site.links.up, site.links.down)
    for way in ways:
        way.latency_seconds, way.jitter_seconds, way.slice_bytes = 0.005, 0.02, 1000
    yield
    time.sleep(0.5)
    for way in ways:
        way.latency_seconds = way.jitter_seconds = way.slice_bytes = 0


@contextmanager
def scripts_flushed(site: Site, chance: random.Random) -> Generator[None]:
    with site.redis.client() as redis:
        redis.script_flush()
    yield


FAULTS: dict[str, Fault[Site]] = {
    fault.__name__: fault
    for fault in (
        server_killed,
        server_stopped,
        server_paused,
        redis_restarted,
        redis_killed,
        redis_paused,
        links_reset,
        link_silent,
        weather,
        scripts_flushed,
    )
}
OF_REDIS = {"redis_restarted", "redis_killed", "redis_paused", "scripts_flushed"}
"""At most one of these at a time."""

OF_SERVERS = {"server_killed", "server_stopped", "server_paused"}
"""These begin first and end last: a server that takes another's place needs its Redis."""


def choose(chance: random.Random) -> Sequence[Fault[Site]]:
    """One fault or two."""
    names = chance.sample(list(FAULTS), chance.choice((1, 1, 2)))
    if OF_REDIS.issuperset(names):
        names = names[:1]
    return [FAULTS[name] for name in sorted(names, key=lambda name: name not in OF_SERVERS)]
