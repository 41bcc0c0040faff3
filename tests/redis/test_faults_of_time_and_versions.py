"""Clocks that disagree, and versions that meet while an upgrade rolls."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from django_cfg.errors import RPCTimeoutError
from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.server import ServerOptions
from django_cfg.rpc.router import MessageRouter
from django_cfg.tests.websocket.redis_server import missing_program
from django_cfg.tests.websocket.serving import Running
from tests.redis.processes import process
from tests.redis.wire import GROUP, STREAM, dialect_b, is_clean, send, wait_until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.parametrize("offset", ["+300", "-300"])
def test_f21_a_server_whose_clock_is_five_minutes_off_keeps_every_deadline(
    config: WebSocketRPCConfig, redis: Any, tmp_path: Path, offset: str
) -> None:
    """Deadlines are measured on Redis's clock: nothing is dropped that is in time, and nothing late is run."""
    if not LIBRARIES:
        missing_program("faketime")
    environment = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    client = WebSocketRPCClient(config)
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    late = send(redis, dialect_b("work", {"name": "late"}, timeout=1))
    wait_until(lambda: redis.time()[0] * 1000 > int(late.partition("-")[0]) + 2000)
    with process(tmp_path, config.redis_url, "rpc_server", **environment) as server:
        server.until_serving()
        assert client.call("work", {"name": "x"}, timeout=5)["name"] == "x"
        with pytest.raises(RPCTimeoutError):
            client.call("work", {"name": "slow", "seconds": 60}, timeout=0.5)
        wait_until(lambda: redis.xlen(STREAM) == 0)

        assert server.runs() == ["x", "slow"]
        assert server.end() == 0, server.log
    client.close()


class Order1(BaseModel):
    item: str


class Order2(BaseModel):
    item: str
    note: str = ""


class Receipt1(BaseModel):
    item: str


class Receipt2(BaseModel):
    item: str
    note: str = "none"


async def order_1(conn: Any, params: Order1) -> Receipt1:
    return Receipt1(item=params.item)


async def order_2(conn: Any, params: Order2) -> Receipt2:
    return Receipt2(item=params.item, note=params.note)


@pytest.fixture(params=[(order_1,), (order_2,), (order_1, order_2)], ids=["old", "new", "both"])
def servers(request: pytest.FixtureRequest, config: WebSocketRPCConfig) -> Any:
    """Of either version, and of both while the upgrade rolls."""
    with ExitStack() as stack:
        for handler in request.param:
            router = MessageRouter()
            router.register_handler("order", handler)
            running = Running(config, served_router(router), ServerOptions())
            stack.callback(running.stop)
        yield request.param


def test_f26_callers_of_the_version_before_do_not_notice_the_new_one(config: WebSocketRPCConfig, servers: Any) -> None:
    """What the new version adds to a result is ignored by those who do not know it."""
    client = WebSocketRPCClient(config)
    for _ in range(20):
        assert client.call("order", Order1(item="tea"), Receipt1) == Receipt1(item="tea")
    client.close()


def test_f26_callers_of_the_new_version_reach_servers_of_the_one_before(
    config: WebSocketRPCConfig, servers: Any
) -> None:
    """What is new about their parameters is ignored there, and what is new about the result has its default."""
    client = WebSocketRPCClient(config)
    notes = {client.call("order", Order2(item="tea", note="hot"), Receipt2).note for _ in range(20)}

    assert notes <= ({"none"} if order_1 in servers else set()) | ({"hot"} if order_2 in servers else set())
    client.close()


def test_f26_fields_that_nobody_knows_yet_are_ignored_on_the_wire(
    config: WebSocketRPCConfig, redis: Any, servers: Any
) -> None:
    """A later version may add stream fields and payload keys; this one answers all the same."""
    request = {**dialect_b("order", {"item": "tea"}), "invented": {"later": True}}
    redis.xadd(STREAM, {"payload": json.dumps(request), "v": "99", "invented": "later"})
    popped = redis.blpop(request["reply_to"], 10)

    assert json.loads(popped[1])["result"]["item"] == "tea"
    wait_until(lambda: is_clean(redis))
