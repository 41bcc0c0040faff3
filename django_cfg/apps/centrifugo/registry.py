"""A read-only view of a router's methods: there is one registry, and it is the router."""

from __future__ import annotations

from collections.abc import Iterator

from django_cfg.rpc.method import RPCMethodInfo
from django_cfg.rpc.router import MessageRouter, get_global_router

__all__ = ["RPCRegistry", "get_global_registry"]


class RPCRegistry:
    """What code generation can find on `router` (by default the global one)."""

    def __init__(self, router: MessageRouter | None = None) -> None:
        self._router = get_global_router() if router is None else router

    def get(self, name: str) -> RPCMethodInfo | None:
        return self._router.get(name)

    def all(self) -> list[RPCMethodInfo]:
        """In the order of registration."""
        return list(self._router.methods())

    def __iter__(self) -> Iterator[RPCMethodInfo]:
        return iter(self._router.methods())

    def __contains__(self, name: object) -> bool:
        return name in self._router

    def __len__(self) -> int:
        return len(self._router)


_global_registry = RPCRegistry()


def get_global_registry() -> RPCRegistry:
    """The view of the global router."""
    return _global_registry
