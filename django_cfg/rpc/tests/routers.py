from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_cfg.rpc.router import MessageRouter, get_global_router

__all__ = ["router"]


@pytest.fixture
def router() -> Iterator[MessageRouter]:
    """The global router, empty for one test."""
    router = get_global_router()
    methods, middleware = router.methods(), list(router.middleware)
    router.clear()
    router.middleware.clear()
    yield router
    router.clear()
    router.middleware[:] = middleware
    for method in methods:
        router.add(method)
