from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_cfg.tests.websocket.conftest import config, handlers, redis, shared_redis
from django_cfg.tests.websocket.redis_server import RedisServer, require_redis_server

__all__ = ["config", "handlers", "own_redis", "redis", "shared_redis"]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """For one test, which restarts it or stops it; what was written survives an orderly restart."""
    require_redis_server()
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    yield server
    server.kill()
