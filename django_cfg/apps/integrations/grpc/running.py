"""One run of the server in an event loop of its own, until it is told to stop; then it drains."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import FrameType

from django_cfg.apps.integrations.grpc.collecting import collect_less_often
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.server import CommandServer
from django_cfg.apps.integrations.grpc.server_metrics import reporting
from django_cfg.apps.integrations.grpc.services.discovery import RegisteredService, register_handlers
from django_cfg.rpc.health import Probes, serving_health
from django_cfg.rpc.leaving import leave_at_next_interrupt, leave_soon
from django_cfg.rpc.listening import bind

__all__ = ["Plan", "Run"]

STOPPING = (signal.SIGINT, signal.SIGTERM)

Ready = Callable[[str, int, list[RegisteredService]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve where; `health` is the address of `/livez`, `/readyz` and `/metrics`."""

    config: GRPCConfig
    host: str
    port: int
    drain_seconds: float
    health: tuple[str, int] | None = None


class Run:
    """`ready` hears host, port and services once agents can connect. `stop` may be called from any thread, any time."""

    def __init__(self, plan: Plan, ready: Ready) -> None:
        self._plan = plan
        self._ready = ready
        self._lock = threading.Lock()
        self._stopped = False
        self._signalled = False
        self._stop: Callable[[], object] | None = None

    def serve(self) -> None:
        """Returns when everything has ended; raises ConfigurationError or RegistrationError if it cannot start."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Begin to drain; further calls change nothing."""
        with self._lock:
            self._stopped = True
            if self._stop is not None:
                self._stop()

    async def _serve(self) -> None:
        plan, stop = self._plan, self._prepare()
        collect_less_often()
        try:
            server = CommandServer(plan.config)
            services = register_handlers(server.grpc)
            self._heed_signals(stop)
            async with _health(plan.health, server), reporting():
                port = await server.start(plan.host, plan.port, [service.name for service in services])
                self._ready(plan.host, port, services)
                await stop.wait()
                await server.drain(plan.drain_seconds)
                if self._signalled:
                    leave_soon(0)
        finally:
            with self._lock:
                self._stop = None

    def _prepare(self) -> asyncio.Event:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                signal.signal(number, _leave)
        with self._lock:
            self._stop = lambda: loop.call_soon_threadsafe(stop.set)
            if self._stopped:
                stop.set()
        return stop

    def _heed_signals(self, stop: asyncio.Event) -> None:
        def signalled() -> None:
            self._signalled = True
            stop.set()
            leave_at_next_interrupt()

        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                asyncio.get_running_loop().add_signal_handler(number, signalled)


def _leave(number: int, frame: FrameType | None) -> None:
    """A server whose handlers are being registered, however long that takes, has nothing to finish."""
    os._exit(0)


@asynccontextmanager
async def _health(address: tuple[str, int] | None, server: CommandServer) -> AsyncGenerator[None]:
    if address is None:
        yield
        return
    probes = Probes(alive=lambda: "", ready=server.why_unready)
    async with serving_health(bind(*address), probes):
        yield
