"""From `rpc.call` in a Django view to the handler of a generated client, wherever the call is answered."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import jwt
import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient
from django_cfg.models.websocket import RPCErrorCode
from django_cfg.modules.django_rpc.broadcasts import BROADCAST_CHANNEL
from django_cfg.tests.websocket.redis_server import RedisServer
from tests.e2e import driving
from tests.e2e.conftest import driver_command
from tests.e2e.servers import free_port
from tests.redis.processes import process
from tests.redis.wire import BOUND_SECONDS, STREAM, wait_until

__all__ = ["driver_command"]

SECRET = "redis-tests-token-secret-0123456789abcdef"
EVENTS = ("order_update", "system_update")


class Site:
    """A site that browsers are connected to; `hearers` is how many processes hear broadcasts."""

    def __init__(self, kind: str, hearers: int) -> None:
        self.kind = kind
        self.hearers = hearers
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    async def post(self, path: str, body: Any) -> Any:
        return await asyncio.to_thread(self._post, path, body)

    async def call(self, method: str, params: Any) -> Any:
        """What a view's `rpc.call` returns."""
        answer = await self.post(f"call/{method}", params)
        assert "ok" in answer, answer
        return answer["ok"]

    def _post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=BOUND_SECONDS) as response:  # noqa: S310 - made above
            return json.load(response)


def run_site(kind: str, redis: RedisServer, directory: Any, resources: ExitStack) -> Site:
    """`servers`: the web process only calls. `embedded`: it answers over Redis, too. `memory`: there is no Redis."""
    site = Site(kind, 2 if kind == "servers" else 1)
    url = "memory://" if kind == "memory" else redis.url
    environment = {"SITE_CENTRIFUGO_PORT": str(site.port), "SITE_ANSWERS": "no" if kind == "servers" else "yes"}
    serve = ("runcentrifugo", f"127.0.0.1:{site.port}", "--noreload")
    resources.enter_context(process(directory, url, *serve, **environment)).until_serving()
    if kind == "servers":
        both = ("rpc_server", "--processes", "2")
        answering = process(directory, url, *both, SITE_CENTRIFUGO_PORT=str(site.port))
        resources.enter_context(answering).until_serving(2)
    if kind != "memory":
        with redis.client() as client:
            wait_until(lambda: client.exists(f"rpc:listener:{BROADCAST_CHANNEL}:{STREAM}"))
            wait_until(lambda: client.pubsub_numsub(BROADCAST_CHANNEL)[0][1] == site.hearers)
    return site


@pytest.fixture(scope="module", params=["servers", "embedded", "memory"])
def site(
    request: pytest.FixtureRequest, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with shared_redis.client() as redis:
        redis.flushall()
    with ExitStack() as resources:
        yield run_site(request.param, shared_redis, tmp_path_factory.mktemp(request.param), resources)


@pytest.fixture
async def driver(driver_command: list[str]) -> AsyncIterator[driving.Driver]:
    async with driving.driver(driver_command) as started:
        yield started


def token(user: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 600, **claims}, SECRET, algorithm="HS256")


def browser(site: Site, user: str) -> tuple[CentrifugoRPCClient, asyncio.Queue[Any]]:
    opened = CentrifugoRPCClient(site.url, token(user), user)
    received: asyncio.Queue[Any] = asyncio.Queue()
    for event in EVENTS:
        opened.on(event, received.put_nowait)
    return opened, received


def notification(user: str) -> dict[str, Any]:
    return {
        "user_id": user,
        "notification_type": "order_update",
        "title": "Order Confirmed",
        "message": "Your order #12345 has been confirmed",
        "priority": "high",
    }


async def test_a_notification_reaches_every_connection_of_the_user(site: Site, driver: driving.Driver) -> None:
    for client in ("first", "second"):
        await driver.do("connect", client, url=site.url, token=token("42"), user_id="42")
        await driver.do("on", client, event="order_update")

    result = await site.call("send_notification", notification("42"))

    assert (result["delivered"], result["user_connected"], result["connections"]) == (True, True, 2)
    pushes = [await driver.next_push() for _ in range(2)]
    assert {push["client"] for push in pushes} == {"first", "second"}
    for push in pushes:
        assert push["event"] == "order_update"
        assert push["data"]["title"] == "Order Confirmed"
        assert push["data"]["priority"] == "high"


async def test_a_room_reaches_its_subscribers(site: Site, driver: driving.Driver) -> None:
    for user in ("1", "2"):
        await driver.do("connect", user, url=site.url, token=token(user), user_id=user)
    inside = {"channel": "game.7", "token": token("1", channel="game.7")}
    await driver.do("subscribe", "1", **inside)
    message = {"target": "room", "room": "game.7", "event_type": "system_update", "payload": {"turn": 3}}

    result = await site.call("broadcast", message)

    assert result == {"target": "room", "recipients": 1}
    push = await driver.next_push()
    assert (push["client"], push["channel"]) == ("1", "game.7")
    assert push["data"] == {"event": "system_update", "data": {"turn": 3}}
    assert driver.pushes.empty()


async def test_a_user_who_is_away_gets_nothing_and_the_caller_is_told(site: Site) -> None:
    opened, received = browser(site, "7")
    async with opened:
        assert (await site.call("send_notification", notification("7")))["delivered"]
        await asyncio.wait_for(received.get(), BOUND_SECONDS)

    deadline = time.monotonic() + BOUND_SECONDS
    while (result := await site.call("send_notification", notification("7")))["user_connected"]:
        assert time.monotonic() < deadline, "the user seems connected although the connection is closed"
    assert not result["delivered"]
    assert result["connections"] == 0


async def test_a_user_id_that_could_reach_others_is_refused(site: Site) -> None:
    answer = await site.post("call/send_notification", notification("42,43"))

    assert "cannot be a user id" in answer["error"]["message"]
    assert answer["error"]["code"] == RPCErrorCode.APPLICATION_ERROR  # to ask again would not help


@pytest.mark.parametrize("room", ["user#5", "user#*"])
async def test_a_room_cannot_be_a_users_own_channel(site: Site, room: str) -> None:
    message = {"target": "room", "room": room, "event_type": "system_update", "payload": {}}

    answer = await site.post("call/broadcast", message)

    assert "channels with it belong to users" in answer["error"]["message"]


async def test_a_batch_says_for_each(site: Site) -> None:
    opened, received = browser(site, "1")
    async with opened:
        batch = {"notifications": [notification("1"), notification("2"), notification("1,2")]}
        result = await site.call("send_batch_notification", batch)

        assert (result["total"], result["delivered"], result["failed"]) == (3, 1, 2)
        assert [one["delivered"] for one in result["results"]] == [True, False, False]
        assert (await asyncio.wait_for(received.get(), BOUND_SECONDS))["title"] == "Order Confirmed"


@pytest.mark.parametrize(
    "target",
    [{"target": "all"}, {"target": "user", "user_id": "5"}, {"target": "users", "user_ids": ["5", "6", "away"]}],
    ids=lambda target: target["target"],
)
async def test_broadcast_reaches_its_target(site: Site, target: dict[str, Any]) -> None:
    opened, received = browser(site, "5")
    async with opened:
        message = {"event_type": "system_update", "payload": {"version": "2.0"}, **target}
        result = await site.call("broadcast", message)

        assert result["recipients"] == 1
        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "2.0"}


async def test_the_older_shape_of_a_broadcast_is_an_event_of_its_type(site: Site) -> None:
    opened, received = browser(site, "5")
    async with opened:
        older = {"target": "user", "user_id": "5", "type": "system_update", "title": "Soon", "message": "Maintenance"}
        result = await site.call("broadcast", {**older, "data": {"minutes": 5}})

        assert result["recipients"] == 1
        expected = {"title": "Soon", "message": "Maintenance", "data": {"minutes": 5}}
        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == expected


async def test_a_published_broadcast_is_delivered_once(site: Site) -> None:
    """However many processes hear it."""
    opened, received = browser(site, "9")
    async with opened:
        for version in ("1", "2"):
            message = {"target": "all", "event_type": "system_update", "payload": {"version": version}}
            assert (await site.post(f"publish/{BROADCAST_CHANNEL}", message))["ok"] == site.hearers

        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "1"}
        assert await asyncio.wait_for(received.get(), BOUND_SECONDS) == {"version": "2"}
        assert received.empty()


async def test_what_is_published_elsewhere_reaches_nobody(site: Site) -> None:
    message = {"target": "all", "event_type": "system_update", "payload": {}}

    assert (await site.post("publish/notifications:other", message))["ok"] == 0
