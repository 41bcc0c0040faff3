"""Puts the core's pieces together as the settings say."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.module_loading import import_string

from django_cfg.apps.centrifugo.conf import given_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.claims import ClaimStore
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Permission
from django_cfg.rpc.router import MessageRouter, get_global_router
from django_cfg.rpc.runner import CallRunner, Limits

__all__ = ["build_runner", "install_middleware", "install_permissions"]


def build_runner(
    config: CentrifugoConfig, lanes: Lanes, router: MessageRouter | None = None, claims: ClaimStore | None = None
) -> CallRunner:
    """A runner for one event loop of one process; loops that serve the same callers share `claims`."""
    return CallRunner(
        get_global_router() if router is None else router,
        lanes=lanes,
        claims=MemoryClaims() if claims is None else claims,
        limits=Limits(config.max_concurrent_calls, config.max_concurrent_calls_per_user),
        permissions=_permissions(config),
    )


def install_middleware(config: CentrifugoConfig) -> None:
    """Put the middleware of the settings, in their order, around what code has added; raises ConfigurationError."""
    router = get_global_router()
    try:
        configured = [import_string(path) for path in config.middleware]
    except ImportError as error:
        raise ConfigurationError(f"settings.CENTRIFUGO['middleware']: {error}") from error
    router.middleware[:] = [*configured, *(layer for layer in router.middleware if layer not in configured)]


def install_permissions() -> None:
    """Methods that name none have those of the settings, also where a server of another transport runs them."""
    get_global_router().default_permissions = lambda: _permissions(given_config())


def _permissions(config: CentrifugoConfig) -> Sequence[Permission]:
    found = [import_string(path) for path in config.default_permissions]
    return [item() if isinstance(item, type) else item for item in found]
