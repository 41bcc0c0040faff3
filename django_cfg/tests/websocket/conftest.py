from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.redis_server import RedisServer, require_redis_server
from django_cfg.tests.websocket.serving import Handlers


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    require_redis_server()
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(shared_redis: RedisServer) -> Iterator[Any]:
    """A client of an empty database."""
    with shared_redis.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def config(shared_redis: RedisServer, redis: Any) -> WebSocketRPCConfig:
    return WebSocketRPCConfig(enabled=True, redis_url=shared_redis.url, rpc_timeout=10)


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()
