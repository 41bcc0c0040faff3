"""Cut connections, forged replies, restarts: nothing lost, nothing run twice, nothing believed that is not true."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.cutter import Cutter
from tests.e2e.driving import CallFailed, Driver
from tests.e2e.servers import Servers


def url_through(cutter: Cutter) -> str:
    return f"ws://127.0.0.1:{cutter.port}/connection/websocket"


async def test_500_calls_with_a_cut_every_40_lose_nothing_and_run_once(site: Servers, driver: Driver) -> None:
    run = f"cut-{uuid.uuid4().hex[:8]}"
    async with Cutter(site.port) as cutter:
        await driver.connect(site, "cut-user", url=url_through(cutter))
        slots = asyncio.Semaphore(20)
        finished = 0

        async def one(number: int) -> Any:
            nonlocal finished
            async with slots:
                result = await driver.call("ledger.add", {"key": f"{run}-{number}", "seconds": 0.02}, timeout=50)
                finished += 1
                if finished % 40 == 0:
                    cutter.cut()
                return result

        results = await asyncio.wait_for(asyncio.gather(*(one(n) for n in range(500))), 240)

    assert [r["runs"] for r in results] == [1] * 500
    assert cutter.cuts >= 12
    await driver.connect(site, "cut-user", client="later")
    counts = (await driver.call("ledger.read", {"prefix": run}, client="later"))["counts"]
    assert counts == {f"{run}-{n}": 1 for n in range(500)}


async def test_a_native_call_that_a_cut_interrupts_has_an_unknown_outcome(site: Servers, driver: Driver) -> None:
    async with Cutter(site.port) as cutter:
        await driver.connect(site, "native-user", url=url_through(cutter), transport="rpc")
        _, slow = driver.start("call", method="echo.sleep", params={"seconds": 20})
        await driver.call("echo.sleep", {"seconds": 0})

        cutter.cut()

        with pytest.raises(CallFailed) as failed:
            await asyncio.wait_for(slow, 15)
    assert failed.value.code == "outcome_unknown"


async def open_raw(site: Servers, user: str) -> ClientConnection:
    raw = await connect(site.url)
    await raw.send(json.dumps({"id": 1, "connect": {"token": site.token(user)}}))
    await raw.recv()
    return raw


async def ask(raw: ClientConnection, command: dict[str, Any]) -> dict[str, Any]:
    await raw.send(json.dumps(command))
    while True:
        for line in (await asyncio.wait_for(raw.recv(), 10)).splitlines():
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == command["id"]:
                return answer


@pytest.mark.parametrize("channel", ["user#victim", "user#mallory", "data.stream.victim", "user#victim,mallory"])
async def test_nobody_publishes_to_a_reply_channel(site: Servers, channel: str) -> None:
    raw = await open_raw(site, "mallory")

    answer = await ask(raw, {"id": 2, "publish": {"channel": channel, "data": {"correlation_id": "x", "result": {}}}})

    assert answer["error"]["code"] in (103, 107, 1014)
    await raw.close()


async def test_requests_and_other_users_channels_cannot_be_read(site: Servers) -> None:
    raw = await open_raw(site, "mallory")
    commands = [
        {"id": 2, "subscribe": {"channel": "rpc.requests"}},
        {"id": 3, "subscribe": {"channel": "user#victim"}},
        {"id": 4, "history": {"channel": "rpc.requests", "limit": 5}},
        {"id": 5, "history": {"channel": "user#victim", "limit": 5}},
        {"id": 6, "presence": {"channel": "user#victim"}},
    ]

    for command in commands:
        answer = await ask(raw, command)

        assert answer["error"]["code"] in (103, 108)
    await raw.close()


async def test_reply_to_is_ignored(site: Servers, driver: Driver) -> None:
    await driver.connect(site, "victim")
    await driver.do("on", event="leak")
    raw = await open_raw(site, "mallory")
    await ask(raw, {"id": 2, "subscribe": {"channel": "user#mallory"}})
    request = {"method": "echo.say", "params": {"text": "x"}, "correlation_id": "c-1", "reply_to": "user#victim"}

    await ask(raw, {"id": 3, "publish": {"channel": "rpc.requests", "data": request}})
    reply = json.loads(await asyncio.wait_for(raw.recv(), 10))

    assert reply["push"]["channel"] == "user#mallory"
    assert reply["push"]["pub"]["data"]["result"]["user_id"] == "mallory"
    assert driver.pushes.empty()
    await raw.close()


async def test_a_correlation_id_answers_only_its_own_call(site: Servers) -> None:
    raw = await open_raw(site, "twice")
    await ask(raw, {"id": 2, "subscribe": {"channel": "user#twice"}})
    key = uuid.uuid4().hex
    request = {"method": "ledger.add", "params": {"key": key}, "correlation_id": key}
    other = {**request, "params": {"key": key + "-other"}}

    seen = []
    for number, data in enumerate([request, request, other], start=3):
        await ask(raw, {"id": number, "publish": {"channel": "rpc.requests", "data": data}})
        seen.append(await _next_reply(raw, key))

    assert seen[0] == seen[1] == {"correlation_id": key, "result": {"key": key, "runs": 1}}
    assert seen[2]["error"]["code"] == "validation_error"
    await raw.close()


async def _next_reply(raw: ClientConnection, correlation_id: str) -> dict[str, Any]:
    while True:
        for line in (await asyncio.wait_for(raw.recv(), 10)).splitlines():
            data = json.loads(line).get("push", {}).get("pub", {}).get("data", {})
            if data.get("correlation_id") == correlation_id:
                found: dict[str, Any] = data
                return found


@pytest.mark.parametrize("own_site", ["embedded", "worker"], indirect=True)
async def test_sigterm_finishes_what_runs(own_site: Servers, driver: Driver) -> None:
    await driver.connect(own_site, "drain")
    _, slow = driver.start("call", method="ledger.add", params={"key": "drain", "seconds": 2}, timeout=20)
    await driver.call("echo.sleep", {"seconds": 0})
    name = "server" if own_site.kind == "embedded" else "worker"

    code = await asyncio.to_thread(own_site.terminate, name, signal.SIGTERM)

    assert code == 0
    assert (await asyncio.wait_for(slow, 15))["runs"] == 1


@pytest.mark.parametrize("own_site", ["worker"], indirect=True)
async def test_a_worker_that_is_away_for_a_moment_costs_no_call(own_site: Servers, driver: Driver) -> None:
    await driver.connect(own_site, "away")
    await asyncio.to_thread(own_site.terminate, "worker", signal.SIGKILL)
    _, call = driver.start("call", method="echo.say", params={"text": "late"}, timeout=30)

    await asyncio.to_thread(own_site.start_worker)

    assert (await asyncio.wait_for(call, 30))["text"] == "late"


@pytest.mark.parametrize("own_site", ["embedded", "worker"], indirect=True)
async def test_a_view_pushes_to_browsers(own_site: Servers, driver: Driver) -> None:
    await driver.connect(own_site, "viewer")
    await driver.do("on", event="from.view")
    reader, writer = await asyncio.open_connection("127.0.0.1", own_site.port)
    writer.write(b"GET /push/viewer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 15)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert (await driver.next_push())["data"] == {"path": "/push/viewer"}
