"""Cut connections, forged replies, restarts: nothing lost, nothing run twice, nothing believed that is not true."""

from __future__ import annotations

import asyncio
import signal
import uuid
from functools import partial
from typing import Any

import pytest

from django_cfg.rpc.leaving import SAME_SECONDS
from tests.e2e.driving import CallFailed, Driver
from tests.e2e.raw import raw_client
from tests.e2e.servers import Servers
from tests.faults.interrupting import press_until_ended
from tests.faults.proxy import Proxy, proxied


def url_through(proxy: Proxy) -> str:
    return f"ws://127.0.0.1:{proxy.port}/connection/websocket"


async def test_500_calls_with_a_cut_every_40_lose_nothing_and_run_once(site: Servers, driver: Driver) -> None:
    run = f"cut-{uuid.uuid4().hex[:8]}"
    with proxied(site.port) as proxy:
        await driver.connect(site, "cut-user", url=url_through(proxy))
        slots = asyncio.Semaphore(20)
        finished = 0

        async def one(number: int) -> Any:
            nonlocal finished
            async with slots:
                result = await driver.call("ledger.add", {"key": f"{run}-{number}", "seconds": 0.02}, timeout=50)
                finished += 1
                if finished % 40 == 0:
                    proxy.reset()
                return result

        results = await asyncio.wait_for(asyncio.gather(*(one(n) for n in range(500))), 240)

    assert [r["runs"] for r in results] == [1] * 500
    assert proxy.resets >= 12
    await driver.connect(site, "cut-user", client="later")
    counts = (await driver.call("ledger.read", {"prefix": run}, client="later"))["counts"]
    assert counts == {f"{run}-{n}": 1 for n in range(500)}


async def test_a_native_call_that_a_cut_interrupts_has_an_unknown_outcome(site: Servers, driver: Driver) -> None:
    with proxied(site.port) as proxy:
        await driver.connect(site, "native-user", url=url_through(proxy), transport="rpc")
        _, slow = driver.start("call", method="echo.sleep", params={"seconds": 20})
        await driver.call("echo.sleep", {"seconds": 0})

        proxy.reset()

        with pytest.raises(CallFailed) as failed:
            await asyncio.wait_for(slow, 15)
    assert failed.value.code == "outcome_unknown"


@pytest.mark.parametrize("channel", ["user#victim", "user#mallory", "data.stream.victim", "user#victim,mallory"])
async def test_nobody_publishes_to_a_reply_channel(site: Servers, channel: str) -> None:
    async with raw_client(site, "mallory") as raw:
        forged = {"correlation_id": "x", "result": {}}
        answer = await raw.ask({"id": 2, "publish": {"channel": channel, "data": forged}})

    assert answer["error"]["code"] in (103, 107, 1014)


async def test_requests_and_other_users_channels_cannot_be_read(site: Servers) -> None:
    commands: list[dict[str, Any]] = [
        {"subscribe": {"channel": "rpc.requests"}},
        {"subscribe": {"channel": "user#victim"}},
        {"history": {"channel": "rpc.requests", "limit": 5}},
        {"history": {"channel": "user#victim", "limit": 5}},
        {"presence": {"channel": "user#victim"}},
    ]
    async with raw_client(site, "mallory") as raw:
        answers = [await raw.ask({"id": number, **command}) for number, command in enumerate(commands, start=2)]

    assert [answer["error"]["code"] for answer in answers] == [103] * len(commands)


async def test_reply_to_is_ignored(site: Servers) -> None:
    request = {"method": "echo.say", "params": {"text": "x"}, "correlation_id": "c-1", "reply_to": "user#victim"}
    async with raw_client(site, "victim", "user#victim") as victim, raw_client(site, "mallory", "user#mallory") as raw:
        await raw.ask({"id": 3, "publish": {"channel": "rpc.requests", "data": request}})
        channel, reply = await raw.reply("c-1")
        own = {**request, "correlation_id": "own"}
        await victim.ask({"id": 3, "publish": {"channel": "rpc.requests", "data": own}})
        await victim.reply("own")

        assert (channel, reply["result"]["user_id"]) == ("user#mallory", "mallory")
        assert victim.unclaimed == []


async def test_a_correlation_id_answers_only_its_own_call(site: Servers) -> None:
    key = uuid.uuid4().hex
    request = {"method": "ledger.add", "params": {"key": key}, "correlation_id": key}
    other = {**request, "params": {"key": key + "-other"}}
    seen = []
    async with raw_client(site, "twice", "user#twice") as raw:
        for number, data in enumerate([request, request, other], start=3):
            await raw.ask({"id": number, "publish": {"channel": "rpc.requests", "data": data}})
            seen.append((await raw.reply(key))[1])

    assert seen[0] == seen[1] == {"correlation_id": key, "result": {"key": key, "runs": 1}}
    assert seen[2]["error"]["code"] == "validation_error"


@pytest.mark.parametrize("own_site", ["embedded", "worker"], indirect=True)
async def test_sigterm_finishes_what_runs(own_site: Servers, driver: Driver) -> None:
    await driver.connect(own_site, "drain")
    _, slow = driver.start("call", method="ledger.add", params={"key": "drain", "seconds": 2}, timeout=20)
    await driver.call("echo.sleep", {"seconds": 0})
    name = "server" if own_site.kind == "embedded" else "worker"

    code = await asyncio.to_thread(own_site.terminate, name, signal.SIGTERM)

    assert code == 0
    assert (await asyncio.wait_for(slow, 15))["runs"] == 1


@pytest.mark.parametrize("own_site", ["embedded", "worker"], indirect=True)
async def test_a_second_control_c_gives_up_what_runs(own_site: Servers) -> None:
    server = own_site.processes["server" if own_site.kind == "embedded" else "worker"]
    slow = {"method": "ledger.add", "params": {"key": "held", "seconds": 15}, "correlation_id": "held"}
    quick = {"method": "echo.say", "params": {"text": "x"}, "correlation_id": "quick"}
    async with raw_client(own_site, "hasty", "user#hasty") as raw:
        for number, data in enumerate([slow, quick], start=3):
            await raw.ask({"id": number, "publish": {"channel": "rpc.requests", "data": data}})
        await raw.reply("quick")

        took = await asyncio.to_thread(press_until_ended, partial(server.send_signal, signal.SIGINT), server.poll)

    assert took >= SAME_SECONDS


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
