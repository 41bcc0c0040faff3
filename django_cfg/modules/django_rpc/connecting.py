"""Connections to Redis with every option of ours set: redis-py's defaults changed between 5 and 8.

Nothing here retries: a request that was sent twice would run twice, and a wait that began again would outlast its
deadline. Answers come raw (RESP2, no response callbacks), so their shapes do not depend on redis-py's settings.
"""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Any

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.extra import require_redis

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["OUR_PREFIX", "SLICE_SECONDS", "async_client", "connection_pool", "consumer_name", "sync_client"]

SLICE_SECONDS = 1.0
"""The longest that Redis itself blocks; whoever waits longer asks again, so that a lost link is soon noticed."""

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 5.0
BLOCKING_SECONDS = SLICE_SECONDS + 2.0
POOL_WAIT_SECONDS = 5.0
OUR_PREFIX = "rpc-"
"""Begins the names of consumers that say that they live."""


def _options(config: WebSocketRPCConfig, timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": timeout_seconds,
        "socket_keepalive": True,
        "socket_keepalive_options": {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3},
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "client_name": f"{config.module_name}:{os.getpid()}",
    }


def _socket_options(config: WebSocketRPCConfig, timeout_seconds: float) -> dict[str, Any]:
    """Unix sockets know no keepalive."""
    options = _options(config, timeout_seconds)
    if config.redis_url.startswith("unix:"):
        del options["socket_keepalive"], options["socket_keepalive_options"]
    return options


def connection_pool(config: WebSocketRPCConfig) -> redis.ConnectionPool:
    """Makes blocking connections, each for one thread at a time."""
    require_redis()
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.ConnectionPool.from_url(
        config.redis_url, retry=Retry(NoBackoff(), 0), **_socket_options(config, BLOCKING_SECONDS)
    )


def sync_client(config: WebSocketRPCConfig, connections: int) -> redis.Redis:
    """For short commands; waits for one of its connections rather than raise."""
    require_redis()
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = redis.BlockingConnectionPool.from_url(
        config.redis_url,
        max_connections=connections,
        timeout=POOL_WAIT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **_socket_options(config, COMMAND_SECONDS),
    )
    client = redis.Redis(connection_pool=pool)
    client.response_callbacks.clear()
    return client


def async_client(config: WebSocketRPCConfig, connections: int, *, blocking: bool = False) -> redis.asyncio.Redis:
    """As `sync_client`; `blocking` for commands that Redis answers up to a slice later."""
    require_redis()
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = redis.asyncio.BlockingConnectionPool.from_url(
        config.redis_url,
        max_connections=connections,
        timeout=POOL_WAIT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **_socket_options(config, BLOCKING_SECONDS if blocking else COMMAND_SECONDS),
    )
    client = redis.asyncio.Redis(connection_pool=pool)
    client.response_callbacks.clear()
    return client


def consumer_name(role: str) -> str:
    """Unique for each start, so that what a process has left behind is never taken for the next one's own."""
    return f"{OUR_PREFIX}{role}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
