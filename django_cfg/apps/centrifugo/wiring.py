"""Puts the core's pieces together as the settings say."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.module_loading import import_string

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Permission
from django_cfg.rpc.router import MessageRouter, get_global_router
from django_cfg.rpc.runner import CallRunner, Limits

__all__ = ["build_runner", "install_middleware"]


def build_runner(config: CentrifugoConfig, lanes: Lanes, router: MessageRouter | None = None) -> CallRunner:
    """A runner for one event loop of one process."""
    return CallRunner(
        router or get_global_router(),
        lanes=lanes,
        claims=MemoryClaims(),
        limits=Limits(config.max_concurrent_calls, config.max_concurrent_calls_per_user),
        permissions=_permissions(config),
    )


def install_middleware(config: CentrifugoConfig) -> None:
    """Give the global router the middleware of the settings, in their order."""
    get_global_router().middleware[:] = [import_string(path) for path in config.middleware]


def _permissions(config: CentrifugoConfig) -> Sequence[Permission]:
    found = [import_string(path) for path in config.default_permissions]
    return [item() if isinstance(item, type) else item for item in found]
