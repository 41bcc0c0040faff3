"""Connections to Redis with every option of ours set: redis-py's defaults changed between 5 and 8.

Nothing here retries: a request that was sent twice would run twice, and a wait that began again would outlast its
deadline. Answers come raw (RESP2, no response callbacks), so their shapes do not depend on redis-py's settings.
"""

# ruff: noqa: E402 - whoever has no redis installed is to get a sentence, not an ImportError
from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.extra import require_redis
from django_cfg.modules.django_rpc.protocol import OUR_PREFIX
from django_cfg.modules.django_rpc.sentinel import AsyncMasterConnection, MasterConnection, master_options

require_redis()

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

__all__ = [
    "BLOCKING_SECONDS",
    "COMMAND_SECONDS",
    "CONNECT_SECONDS",
    "FAILURES",
    "POOL_WAIT_SECONDS",
    "SLICE_SECONDS",
    "AsyncRedis",
    "Command",
    "Redis",
    "async_connections",
    "blocking_connections",
    "consumer_name",
    "is_denied",
    "is_missing_script",
    "is_refusal",
    "left_by_its_other_end",
    "new_parser",
    "pack",
    "pairs",
    "read_run_id",
    "tells_of_replica",
]

Command: TypeAlias = Sequence[str | bytes | int | float]

_hiredis: Any = hiredis  # which declares `pack_command` for commands of one word only

FAILURES = (redis.RedisError, OSError)
"""Everything that a command may raise."""

SLICE_SECONDS = 1.0
"""The longest that Redis itself blocks; whoever waits longer asks again, so that a lost link is soon noticed."""

CONNECT_SECONDS = 1.0
COMMAND_SECONDS = 5.0
BLOCKING_SECONDS = SLICE_SECONDS + 2.0
"""When a connection that Redis blocks counts as lost."""

POOL_WAIT_SECONDS = 5.0

LIBRARY_NAME_OPTIONS = ("driver_info",) if find_spec("redis.driver_info") else ("lib_name", "lib_version")
"""Of redis-py, which would name itself to Redis on each connection."""


class Redis:
    """Short commands from any thread; waits for one of its connections rather than raise."""

    def __init__(self, config: WebSocketRPCConfig, connections: int, timeout_seconds: float = COMMAND_SECONDS) -> None:
        pool: Any = redis.BlockingConnectionPool
        self._client: Any = redis.Redis(
            connection_pool=_pool(
                pool,
                config,
                MasterConnection,
                max_connections=connections,
                timeout=POOL_WAIT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                **_options(config, timeout_seconds),
            )
        )
        self._client.response_callbacks.clear()

    def run(self, *command: str | bytes | int | float) -> Any:
        """Raises one of FAILURES."""
        try:
            return self._client.execute_command(*command)
        except redis.ReadOnlyError:
            self._leave_replica()
            raise

    def batch(self, commands: Iterable[Command]) -> list[Any]:
        """In one round trip; an answer may be an exception. Raises one of FAILURES."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        if any(map(tells_of_replica, answers)):
            self._leave_replica()
        return answers

    def close(self) -> None:
        self._client.connection_pool.disconnect()

    def _leave_replica(self) -> None:
        """What was the master is one no longer: the address leads to another by now."""
        self._client.connection_pool.disconnect()


class AsyncRedis:
    """As Redis, for the event loop that it is first used in."""

    def __init__(self, config: WebSocketRPCConfig, connections: int, timeout_seconds: float = COMMAND_SECONDS) -> None:
        pool: Any = redis.asyncio.BlockingConnectionPool
        self._client: Any = redis.asyncio.Redis(
            connection_pool=_pool(
                pool,
                config,
                AsyncMasterConnection,
                max_connections=connections,
                timeout=POOL_WAIT_SECONDS,
                retry=AsyncRetry(NoBackoff(), 0),
                **_options(config, timeout_seconds),
            )
        )
        self._client.response_callbacks.clear()

    async def run(self, *command: str | bytes | int | float) -> Any:
        """Raises one of FAILURES."""
        try:
            return await self._client.execute_command(*command)
        except redis.ReadOnlyError:
            await self._leave_replica()
            raise

    def pubsub(self) -> Any:
        """An asynchronous context: `subscribe`, `get_message`."""
        return self._client.pubsub(ignore_subscribe_messages=True)

    async def close(self) -> None:
        await self._client.connection_pool.disconnect()

    async def _leave_replica(self) -> None:
        await self._client.connection_pool.disconnect()


def blocking_connections(config: WebSocketRPCConfig) -> Callable[[], Any]:
    """Makes connections for one thread at a time, to be written and read by hand.

    No pool keeps them, for it would count those that have long been closed.
    """
    return _maker(redis.ConnectionPool, config, MasterConnection, retry=Retry(NoBackoff(), 0))


def async_connections(config: WebSocketRPCConfig) -> Callable[[], Any]:
    """As `blocking_connections`, for event loops."""
    return _maker(redis.asyncio.ConnectionPool, config, AsyncMasterConnection, retry=AsyncRetry(NoBackoff(), 0))


def new_parser() -> hiredis.Reader:
    """Of raw answers: `gets` returns False while none is complete, and Redis's errors as exceptions."""
    return hiredis.Reader(protocolError=redis.ConnectionError, replyError=_error)


def pack(commands: Iterable[Command]) -> bytes:
    """As they are written to Redis."""
    return b"".join([_hiredis.pack_command(command) for command in commands])


def consumer_name(role: str) -> str:
    """Unique for each start, so that what a process has left behind is never taken for the next one's own."""
    return f"{OUR_PREFIX}{role}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _error(text: str) -> redis.ResponseError:
    kinds: dict[str, type[redis.ResponseError]] = {"READONLY": redis.ReadOnlyError, "NOSCRIPT": NoScriptError}
    return kinds.get(text.partition(" ")[0], redis.ResponseError)(text)


def is_missing_script(error: BaseException) -> bool:
    """Whether Redis does not know the script that EVALSHA names: it has restarted, or its scripts were flushed."""
    return isinstance(error, NoScriptError)


def is_refusal(error: BaseException) -> bool:
    """Whether Redis itself answered with the error, so that nothing is in doubt."""
    return isinstance(error, redis.ResponseError)


def is_denied(error: BaseException) -> bool:
    """Whether the user of Redis lacks a right, which no repeat will change."""
    return is_refusal(error) and str(error).startswith("NOPERM")


def tells_of_replica(error: BaseException) -> bool:
    """What was the master is one no longer: the address leads to another by now."""
    return isinstance(error, redis.ReadOnlyError)


def left_by_its_other_end() -> Exception:
    return redis.ConnectionError("Redis closed the connection")


def read_run_id(info: bytes) -> str:
    """From INFO: unique for each start of a Redis process."""
    _, _, rest = info.partition(b"run_id:")
    return rest.partition(b"\r")[0].decode()


def pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Redis writes mappings as name, value, name, value."""
    return zip(flat[::2], flat[1::2], strict=True)


def _pool(pool: Any, config: WebSocketRPCConfig, master_connection: Any, **options: Any) -> Any:
    if config.redis_url.startswith("sentinel:"):
        return pool(connection_class=master_connection, **master_options(config.redis_url), **options)
    return pool.from_url(config.redis_url, **options)


def _maker(pool: Any, config: WebSocketRPCConfig, master_connection: Any, retry: Any) -> Callable[[], Any]:
    parsed = _pool(pool, config, master_connection, retry=retry, **_options(config, BLOCKING_SECONDS))
    kind, options = parsed.connection_class, parsed.connection_kwargs
    return lambda: kind(**options)


def _options(config: WebSocketRPCConfig, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": timeout_seconds,
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "client_name": config.client_name,
        # Redis 7.0 does not know CLIENT SETINFO, and for users with few rights later ones and Valkey note each refusal.
        **dict.fromkeys(LIBRARY_NAME_OPTIONS),
    }
    if not config.redis_url.startswith("unix:"):  # those know no keepalive
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = {
            socket.TCP_KEEPIDLE: 30,
            socket.TCP_KEEPINTVL: 5,
            socket.TCP_KEEPCNT: 3,
        }
    return options
