"""What Prometheus hears of the server: agents, queues, ends of streams, refused calls, and how late its loop runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django_cfg.apps.integrations.grpc.served import Service, all_services
from django_cfg.rpc import metrics

__all__ = ["count_refused", "reporting"]

PERIOD_SECONDS = 1.0

_agents = metrics.gauge("django_cfg_grpc_agents", "Agents connected.", "service")
_queued = metrics.gauge("django_cfg_grpc_queue_depth", "Commands in the queues of all agents.", "service")
_longest = metrics.gauge("django_cfg_grpc_longest_queue", "Commands in the longest queue of an agent.", "service")
_events = metrics.counter(
    "django_cfg_grpc_events",
    "What streams have seen: streams, messages, pings, refused_reports and so on.",
    "service",
    "event",
)
_disconnects = metrics.counter(
    "django_cfg_grpc_disconnects", "Streams that have ended, by status.", "service", "reason"
)
_refused = metrics.counter("django_cfg_grpc_refused_calls", "Calls without good credentials, by status.", "status")
_lag = metrics.gauge("django_cfg_grpc_event_loop_lag_seconds", "By how much the event loop was late last.")


def count_refused(status: str) -> None:
    """A call that its credentials did not allow; `status` is the name of gRPC's."""
    _refused.of(status).inc()


@asynccontextmanager
async def reporting() -> AsyncGenerator[None]:
    """Tell Prometheus about all registered services meanwhile, where it listens."""
    if not metrics.ENABLED:
        yield
        return
    task = asyncio.create_task(_report())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _report() -> None:
    loop, told = asyncio.get_running_loop(), Counter[tuple[str, ...]]()
    while True:
        due = loop.time() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        _lag.of().set(max(0.0, loop.time() - due))
        for name, service in all_services():
            _tell(name, service, told)


def _tell(name: str, service: Service, told: Counter[tuple[str, ...]]) -> None:
    depths = [queue.qsize() for queue in service.get_active_connections().values()]
    _agents.of(name).set(len(depths))
    _queued.of(name).set(sum(depths))
    _longest.of(name).set(max(depths, default=0))
    for event, count in service.counts.events().items():
        _events.of(name, event).inc(_more(told, (name, event), count))
    for status, count in service.counts.ended.items():
        _disconnects.of(name, status).inc(_more(told, (name, "ended", status), count))


def _more(told: Counter[tuple[str, ...]], counter: tuple[str, ...], count: int) -> int:
    """Since it was told last; another service under the same name begins at nothing."""
    before, told[counter] = told[counter], count
    return count - before if count >= before else count
