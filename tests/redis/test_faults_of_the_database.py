"""F15 and F16: a handler's transaction fails, and the database's connections break."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from django_cfg.errors import RPCErrorCode, RPCRemoteError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from tests.faults.proxy import Proxy, proxied
from tests.redis.postgres.server import postgres
from tests.redis.processes import process
from tests.redis.wire import BOUND_SECONDS, wait_until


@pytest.fixture(scope="module")
def database() -> Iterator[psycopg.Connection[Any]]:
    with (
        postgres() as port,
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres", autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE noted (n int)")
        yield connection


@pytest.fixture
def link(database: psycopg.Connection[Any]) -> Iterator[Proxy]:
    with proxied(database.info.port) as proxy:
        yield proxy


@pytest.fixture
def client(config: WebSocketRPCConfig, redis: Any, tmp_path: Path, link: Proxy) -> Iterator[WebSocketRPCClient]:
    """Of a server whose way to the database leads through `link`."""
    environment = {"DJANGO_SETTINGS_MODULE": "tests.redis.postgres.settings", "SITE_DATABASE_PORT": str(link.port)}
    client = WebSocketRPCClient(config)
    with process(tmp_path, config.redis_url, "rpc_server", **environment) as server:
        server.until_serving()
        yield client
        assert server.end() == 0, server.log
    client.close()


def test_f16_the_next_call_has_a_fresh_connection(
    database: psycopg.Connection[Any], client: WebSocketRPCClient, link: Proxy
) -> None:
    """After its connection was ended by the database, or reset on the way: no call fails that had not begun."""
    first = client.call("backend")["pid"]
    assert client.call("backend")["pid"] == first  # it is kept
    database.execute("SELECT pg_terminate_backend(%s)", [first])
    second = client.call("backend")["pid"]
    assert second != first

    link.reset()
    assert client.call("backend")["pid"] not in (first, second)


def test_f16_a_call_whose_connection_breaks_fails_alone(client: WebSocketRPCClient, link: Proxy) -> None:
    """Its caller learns at once that something failed, and nothing about what; the next call works."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.call, "backend", {"seconds": 1.0})
        wait_until(lambda: link.connections == 1)
        time.sleep(0.3)  # for the first of its two questions
        link.reset()
        with pytest.raises(RPCRemoteError) as caught:
            pending.result(BOUND_SECONDS)
    assert caught.value.error.code == RPCErrorCode.INTERNAL_ERROR
    assert "server closed" not in str(caught.value)
    assert client.call("backend")["pid"]


def test_f15_a_transaction_that_fails_is_rolled_back(client: WebSocketRPCClient) -> None:
    """The error reaches the caller, and the row is not there."""
    with pytest.raises(RPCRemoteError, match="changed my mind"):
        client.call("insert_and_fail")

    assert client.call("rows") == {"count": 0}
