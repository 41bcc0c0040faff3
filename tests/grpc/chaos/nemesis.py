"""Faults, each begun and ended: what is killed is replaced, what is paused goes on, what is cut heals."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_cfg.apps.integrations.grpc.agents_view import list_agents
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from tests.faults.proxy import Proxy
from tests.faults.rounds import Fault
from tests.grpc.project import BOUND_SECONDS, Process, Project

__all__ = ["FAULTS", "Deck", "Post", "Site"]

HANDLERS = """
from tests.grpc.chaos.server import add_fleet

def grpc_handlers(server):
    add_fleet(server, **{streaming!r})
"""
SOON = {"ping_interval": 0.5, "ping_timeout": 1.5, "queue_timeout": 1.0}
"""How an agent that is silent is found."""
LONGEST_PAUSE_SECONDS = 2.5
"""More than an agent may be silent before its stream is ended."""
PARTING_SECONDS = 5.0


class Post:
    """One agent's id, its own way to the server, and the processes that serve under that id: mostly one."""

    def __init__(self, directory: Path, agent_id: str, server_port: int) -> None:
        self.agent_id = agent_id
        self.link = Proxy(server_port)
        self._directory = directory
        self.agents: list[Process] = []

    def add(self) -> Process:
        arguments = ("--id", self.agent_id, "--address", f"127.0.0.1:{self.link.port}")
        self.agents.append(Process(self._directory, arguments, "tests.grpc.chaos.agent"))
        return self.agents[-1]

    def kill(self) -> None:
        for agent in self.agents:
            agent.clean_up()
        self.agents.clear()

    def settle(self) -> None:
        """Of several processes the server keeps one, and those that were superseded end by themselves."""
        deadline = time.monotonic() + PARTING_SECONDS
        while len(self.alive()) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        if len(self.alive()) != 1:
            self.kill()
            self.add()
        self.agents = self.alive()

    def alive(self) -> list[Process]:
        return [agent for agent in self.agents if agent.is_running]


class Site:
    """A server, agents that reach it through a proxy each, and callers that reach it through another one."""

    def __init__(self, directory: Path, agents: int, streaming: Mapping[str, Any] = SOON, **grpc: Any) -> None:
        """With options of BidirectionalStreamingConfig and of GRPCConfig."""
        self.ledger = directory / "ledger"
        self.project = Project(directory)
        self.project.add_app("fleet", HANDLERS.format(streaming=dict(streaming)))
        self.project.configure(drain_seconds=3, **grpc)
        self.servers: list[Process] = []
        self.unclean_exits: list[str] = []
        self.server = self.start_server()
        self.callers = Proxy(self.project.port)
        self.posts = [Post(directory, f"bot-{number}", self.project.port) for number in range(agents)]
        for post in self.posts:
            post.add()
        for post in self.posts:
            post.agents[0].until_logged("connected")

    def connected(self) -> dict[str, int]:
        """The epoch of each agent that the server believes to be there."""
        found = list_agents(GRPCConfig(), self.project.address, BOUND_SECONDS)
        return {agent["agent_id"]: agent["epoch"] for agent in found}

    @property
    def proxies(self) -> list[Proxy]:
        return [self.callers, *(post.link for post in self.posts)]

    def start_server(self) -> Process:
        self.servers.append(Process(self.project.directory, ("rungrpc", "--noreload")))
        return self.servers[-1].until_serving()

    def expect_order(self, server: Process) -> None:
        """It was told to stop: it ends, and says that all went well."""
        if (status := server.wait()) != 0:
            self.unclean_exits.append(f"status {status}\n{server.log[-2000:]}")

    def close(self) -> None:
        for post in self.posts:
            post.kill()
        for server in self.servers:
            server.clean_up()
        for proxy in self.proxies:
            proxy.close()


@contextmanager
def _taken(site: Site, chance: random.Random) -> Generator[Post]:
    """An agent that no other fault has taken; in the end one process serves under its id."""
    post = site.posts.pop(chance.randrange(len(site.posts)))
    try:
        yield post
        post.settle()
    finally:
        site.posts.append(post)


@contextmanager
def agent_killed(site: Site, chance: random.Random) -> Generator[None]:
    with _taken(site, chance) as post:
        post.kill()
        yield


@contextmanager
def agent_paused(site: Site, chance: random.Random) -> Generator[None]:
    with _taken(site, chance) as post:
        post.agents[0].send(signal.SIGSTOP)
        yield
        time.sleep(chance.choice((0.2, LONGEST_PAUSE_SECONDS)))
        post.agents[0].send(signal.SIGCONT)


@contextmanager
def agent_replaced(site: Site, chance: random.Random) -> Generator[None]:
    with _taken(site, chance) as post:
        post.add()
        yield


@contextmanager
def paused_agent_replaced(site: Site, chance: random.Random) -> Generator[None]:
    """What the paused one has in its buffers is of a stream that is not the newest any more when it goes on."""
    with _taken(site, chance) as post:
        post.agents[0].send(signal.SIGSTOP)
        post.add()
        yield
        time.sleep(LONGEST_PAUSE_SECONDS)
        post.agents[0].send(signal.SIGCONT)


@contextmanager
def server_killed(site: Site, chance: random.Random) -> Generator[None]:
    site.server.end(signal.SIGKILL)
    yield
    site.server = site.start_server()


@contextmanager
def server_stopped(site: Site, chance: random.Random) -> Generator[None]:
    """With whatever else happens while it finishes what it has begun."""
    site.server.send(signal.SIGTERM)
    yield
    site.expect_order(site.server)
    site.server = site.start_server()


@contextmanager
def server_paused(site: Site, chance: random.Random) -> Generator[None]:
    site.server.send(signal.SIGSTOP)
    yield
    time.sleep(chance.choice((0.2, LONGEST_PAUSE_SECONDS)))
    site.server.send(signal.SIGCONT)


@contextmanager
def link_reset(site: Site, chance: random.Random) -> Generator[None]:
    chance.choice(site.proxies).reset()
    yield


@contextmanager
def link_silent(site: Site, chance: random.Random) -> Generator[None]:
    """In one direction or both; sometimes for so long that the agent counts as gone, and is not."""
    proxy = chance.choice(site.proxies)
    way = chance.choice((proxy, proxy.up, proxy.down))
    way.hold()
    yield
    time.sleep(chance.choice((0.2, 1.0, LONGEST_PAUSE_SECONDS)))
    way.release()


@contextmanager
def weather(site: Site, chance: random.Random) -> Generator[None]:
    """Late, out of step, in small pieces."""
    ways = [way for proxy in site.proxies for way in (proxy.up, proxy.down)]
    for way in ways:
        way.latency_seconds, way.jitter_seconds, way.slice_bytes = 0.005, 0.02, 100
    yield
    time.sleep(0.5)
    for way in ways:
        way.latency_seconds = way.jitter_seconds = way.slice_bytes = 0


OF_SERVERS: tuple[Fault[Site], ...] = (server_killed, server_stopped, server_paused)
OF_OTHERS: tuple[Fault[Site], ...] = (
    agent_killed,
    agent_paused,
    agent_replaced,
    paused_agent_replaced,
    link_reset,
    link_silent,
    weather,
)
FAULTS: dict[str, Fault[Site]] = {fault.__name__: fault for fault in (*OF_SERVERS, *OF_OTHERS)}


class Deck:
    """One fault or two; at most one of the server, which begins first and ends last. None comes again before all."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def choose(self, chance: random.Random) -> Sequence[Fault[Site]]:
        names = [self._draw(chance) for _ in range(chance.choice((1, 1, 2)))]
        servers = [FAULTS[name] for name in names if FAULTS[name] in OF_SERVERS]
        return [*servers[:1], *(FAULTS[name] for name in names if FAULTS[name] not in OF_SERVERS)]

    def _draw(self, chance: random.Random) -> str:
        if not self._left:
            self._left = chance.sample(list(FAULTS), len(FAULTS))
        return self._left.pop()
