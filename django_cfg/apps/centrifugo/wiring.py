"""Puts the core's pieces together as the settings say."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.module_loading import import_string

from django_cfg.apps.centrifugo.conf import given_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.errors import ConfigurationError, RegistrationError
from django_cfg.rpc.claims import ClaimStore
from django_cfg.rpc.lanes import Lanes
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Middleware, Permission
from django_cfg.rpc.router import MessageRouter, checked_permission, get_global_router
from django_cfg.rpc.runner import CallRunner, Limits

__all__ = ["build_runner", "install_middleware", "install_permissions", "read_permission"]


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
    configured = list(map(_middleware, config.middleware))
    router.middleware[:] = [*configured, *(layer for layer in router.middleware if layer not in configured)]


def install_permissions() -> None:
    """Methods that name none have those of the settings, also where a server of another transport runs them."""
    get_global_router().default_permissions = lambda: _permissions(given_config())


def read_permission(path: str) -> Permission:
    """Raises ConfigurationError."""
    where = "settings.CENTRIFUGO['default_permissions']"
    try:
        return checked_permission(where, import_string(path))
    except ImportError as error:
        raise ConfigurationError(f"{where}: {path!r} cannot be imported ({error})") from error
    except RegistrationError as error:
        raise ConfigurationError(str(error)) from error


def _permissions(config: CentrifugoConfig) -> Sequence[Permission]:
    return list(map(read_permission, config.default_permissions))


def _middleware(path: str) -> Middleware:
    where = f"settings.CENTRIFUGO['middleware']: {path!r}"
    try:
        found: Middleware = import_string(path)
    except ImportError as error:
        raise ConfigurationError(f"{where} cannot be imported ({error})") from error
    if not callable(found):
        raise ConfigurationError(f"{where} is no function (call_next, conn, params)")
    return found
