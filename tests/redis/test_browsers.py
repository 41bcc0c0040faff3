"""From `rpc.call` in one process, through a server in another, to the handler of a client of Centrifugo's protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient
from django_cfg.errors import RPCRemoteError
from django_cfg.models.websocket import (
    BatchNotificationRequest,
    BatchNotificationResponse,
    BroadcastRequest,
    BroadcastResponse,
    NotificationPriority,
    NotificationRequest,
    NotificationResponse,
)
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.listener import BROADCAST_CHANNEL
from django_cfg.tests.websocket.redis_server import RedisServer
from tests.e2e.servers import free_port
from tests.redis.processes import process
from tests.redis.wire import BOUND_SECONDS, wait_until

SECRET = "redis-tests-token-secret-0123456789abcdef"


@pytest.fixture(scope="module")
def port(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a site that browsers are connected to, whose calls two other processes answer."""
    directory, number = tmp_path_factory.mktemp("browsers"), free_port()
    with shared_redis.client() as redis:
        redis.flushall()
    environment = {"SITE_CENTRIFUGO_PORT": str(number)}
    with (
        process(
            directory, shared_redis.url, "runcentrifugo", f"127.0.0.1:{number}", "--noreload", **environment
        ) as web,
        process(directory, shared_redis.url, "rpc_server", "--processes", "2", **environment) as servers,
    ):
        web.until_serving()
        servers.until_serving(2)
        yield number


@pytest.fixture
def client(shared_redis: RedisServer, port: int) -> Iterator[WebSocketRPCClient]:
    client = WebSocketRPCClient(WebSocketRPCConfig(enabled=True, redis_url=shared_redis.url))
    yield client
    client.close()


def browser(port: int, user: str) -> tuple[CentrifugoRPCClient, asyncio.Queue[Any]]:
    token = jwt.encode({"sub": user, "exp": int(time.time()) + 600}, SECRET, algorithm="HS256")
    opened = CentrifugoRPCClient(f"ws://127.0.0.1:{port}/connection/websocket", token, user)
    received: asyncio.Queue[Any] = asyncio.Queue()
    opened.on("order_update", received.put_nowait)
    opened.on("system_update", received.put_nowait)
    return opened, received


def notification(user: str) -> NotificationRequest:
    return NotificationRequest(
        user_id=user,
        notification_type="order_update",
        title="Order Confirmed",
        message="Your order #12345 has been confirmed",
        priority=NotificationPriority.HIGH,
    )


async def test_a_notification_reaches_every_connection_of_the_user(client: WebSocketRPCClient, port: int) -> None:
    first, received_first = browser(port, "42")
    second, received_second = browser(port, "42")
    async with first, second:
        result = await client.acall("send_notification", notification("42"), NotificationResponse)

        assert result.delivered
        assert result.user_connected
        assert result.connections == 2
        for received in (received_first, received_second):
            data = await asyncio.wait_for(received.get(), BOUND_SECONDS)
            assert data["title"] == "Order Confirmed"
            assert data["priority"] == "high"


def test_a_user_who_is_away_gets_nothing_and_the_caller_is_told(client: WebSocketRPCClient) -> None:
    result = client.call("send_notification", notification("7"), NotificationResponse)

    assert not result.delivered
    assert not result.user_connected


def test_a_user_id_that_could_reach_others_is_refused(client: WebSocketRPCClient) -> None:
    with pytest.raises(RPCRemoteError, match="cannot be a user id"):
        client.call("send_notification", notification("42,43"))


async def test_a_batch_says_for_each(client: WebSocketRPCClient, port: int) -> None:
    opened, received = browser(port, "1")
    async with opened:
        batch = BatchNotificationRequest(notifications=[notification("1"), notification("2"), notification("1,2")])
        result = await client.acall("send_batch_notification", batch, BatchNotificationResponse)

        assert (result.total, result.delivered, result.failed) == (3, 1, 2)
        assert [one.delivered for one in result.results] == [True, False, False]
        assert (await asyncio.wait_for(received.get(), BOUND_SECONDS))["title"] == "Order Confirmed"


@pytest.mark.parametrize(
    "target",
    [{"target": "all"}, {"target": "user", "user_id": "5"}, {"target": "users", "user_ids": ["5", "6", "away"]}],
    ids=lambda target: target["target"],
)
async def test_broadcast_reaches_its_target(client: WebSocketRPCClient, port: int, target: dict[str, Any]) -> None:
    opened, received = browser(port, "5")
    message = BroadcastRequest(event_type="system_update", payload={"version": "2.0"}, **target)
    async with opened:
        result = await client.acall("broadcast", message, BroadcastResponse)

        assert result.recipients == 1
        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "2.0"}


async def test_a_published_broadcast_is_delivered_once(
    client: WebSocketRPCClient, port: int, shared_redis: RedisServer
) -> None:
    """Both servers hear it."""
    opened, received = browser(port, "9")
    with shared_redis.client() as redis:
        wait_until(lambda: redis.exists(f"rpc:listener:{BROADCAST_CHANNEL}"))
    async with opened:
        for version in ("1", "2"):
            message = BroadcastRequest(target="all", event_type="system_update", payload={"version": version})
            assert client.broadcast(BROADCAST_CHANNEL, message) == 2

        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "1"}
        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "2"}
