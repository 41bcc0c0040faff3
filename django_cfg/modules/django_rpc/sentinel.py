"""Connections to whichever Redis is the master now: Sentinel is asked, and Redis itself, each time one is opened."""

# ruff: noqa: E402 - whoever has no redis installed is to get a sentence, not an ImportError
from __future__ import annotations

from typing import Any

from django_cfg.modules.django_rpc.extra import require_redis
from django_cfg.modules.django_rpc.sentinel_url import SentinelURL, read_sentinel_url

require_redis()

import redis
import redis.asyncio

__all__ = ["AsyncMasterConnection", "MasterConnection", "master_options"]

ASK_SECONDS = 0.5
"""For each Sentinel: there are others."""

_FAILURES = (redis.RedisError, OSError)


def master_options(url: str) -> dict[str, Any]:
    """What both kinds of connections are made with."""
    watched = read_sentinel_url(url)
    return {
        "watched": watched,
        "db": watched.database,
        "username": watched.username,
        "password": watched.password,
    }


class MasterConnection(redis.Connection):
    def __init__(self, *, watched: SentinelURL, **options: Any) -> None:
        self._watched = watched
        parent: Any = super()
        parent.__init__(**options)

    def connect(self) -> None:
        """Raises redis.ConnectionError when no Sentinel leads to a master."""
        if self._sock is None:
            _connect(self, super().connect, self._watched)


class AsyncMasterConnection(redis.asyncio.Connection):
    def __init__(self, *, watched: SentinelURL, **options: Any) -> None:
        self._watched = watched
        parent: Any = super()
        parent.__init__(**options)

    async def connect(self) -> None:
        """Raises redis.ConnectionError when no Sentinel leads to a master."""
        if not self.is_connected:
            await _aconnect(self, super().connect, self._watched)


def _connect(connection: Any, connect: Any, watched: SentinelURL) -> None:
    problems: list[BaseException] = []
    for sentinel in watched.sentinels:
        try:
            connection.host, connection.port = _ask(watched, *sentinel)
            connect()
            connection.send_command("ROLE")
            _check_role(connection.read_response())
        except _FAILURES as error:
            connection.disconnect()
            problems.append(error)
        else:
            return
    raise _no_master(watched, problems)


async def _aconnect(connection: Any, connect: Any, watched: SentinelURL) -> None:
    problems: list[BaseException] = []
    for sentinel in watched.sentinels:
        try:
            connection.host, connection.port = await _aask(watched, *sentinel)
            await connect()
            await connection.send_command("ROLE")
            _check_role(await connection.read_response())
        except _FAILURES as error:
            await connection.disconnect()
            problems.append(error)
        else:
            return
    raise _no_master(watched, problems)


def _ask(watched: SentinelURL, host: str, port: int) -> tuple[str, int]:
    kind: Any = redis.Connection
    sentinel = kind(host=host, port=port, **_sentinel_options(watched))
    try:
        sentinel.connect()
        sentinel.send_command(*_question(watched))
        return _read_address(sentinel.read_response(), watched.service)
    finally:
        sentinel.disconnect()


async def _aask(watched: SentinelURL, host: str, port: int) -> tuple[str, int]:
    kind: Any = redis.asyncio.Connection
    sentinel = kind(host=host, port=port, **_sentinel_options(watched))
    try:
        await sentinel.connect()
        await sentinel.send_command(*_question(watched))
        return _read_address(await sentinel.read_response(), watched.service)
    finally:
        await sentinel.disconnect()


def _question(watched: SentinelURL) -> tuple[str, ...]:
    return "SENTINEL", "GET-MASTER-ADDR-BY-NAME", watched.service


def _sentinel_options(watched: SentinelURL) -> dict[str, Any]:
    return {
        "username": watched.sentinel_username,
        "password": watched.sentinel_password,
        "socket_connect_timeout": ASK_SECONDS,
        "socket_timeout": ASK_SECONDS,
        "protocol": 2,
        "decode_responses": False,
    }


def _read_address(answer: Any, service: str) -> tuple[str, int]:
    if answer is None:
        raise redis.ConnectionError(f"this Sentinel watches no {service!r}")
    return answer[0].decode(), int(answer[1])


def _check_role(answer: Any) -> None:
    """A Sentinel that was cut off, or whose failover is not over, names a server that is a replica."""
    if answer[0] != b"master":
        raise redis.ConnectionError(f"the master that a Sentinel named is a {answer[0].decode()}")


def _no_master(watched: SentinelURL, problems: list[BaseException]) -> redis.ConnectionError:
    return redis.ConnectionError(f"no Sentinel leads to the master of {watched.service!r}: {problems[-1]}")
