"""Calls over Centrifugo's native RPC."""

from __future__ import annotations

import asyncio

import pytest

from tests.python_runtime.fake_centrifugo import FakeCentrifugo, soon, until
from tests.python_runtime.harness import Connect, begin, failure


class TestRpcTransport:
    async def test_bare_params_and_bare_result(self, server: FakeCentrifugo, connect: Connect) -> None:
        calls = [begin(await connect(transport="rpc")), begin(await connect(), transport="rpc")]
        for call in calls:
            request = await server.request()
            assert request.command["rpc"] == {"method": "tasks.get", "data": {"n": 1}}
            await request.ack(data={"total": 3})
            assert await soon(call) == {"total": 3}

    @pytest.mark.parametrize(
        ("number", "temporary", "code"),
        [(100, True, "outcome_unknown"), (1008, True, "service_unavailable"), (104, False, "method_not_found")],
    )
    async def test_errors(
        self, server: FakeCentrifugo, connect: Connect, number: int, temporary: bool, code: str
    ) -> None:
        call = begin(await connect(resend_interval=0.01), transport="rpc")
        await (await server.request()).refuse(number, "why", temporary=temporary)
        error = await failure(call)

        assert error.code == code
        assert "why" in str(error)
        assert server.requests.empty()

    async def test_connection_lost(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect(resend_interval=0.01)
        call = begin(client, transport="rpc")
        await server.request()
        await server.drop()

        assert (await failure(call)).code == "outcome_unknown"
        await until(lambda: client.state == "connected")
        assert server.requests.empty()

    async def test_not_sent_again_when_only_the_channel_was_lost(
        self, server: FakeCentrifugo, connect: Connect
    ) -> None:
        call = begin(await connect(resend_interval=0.01), transport="rpc")
        request = await server.request()
        await server.push({"channel": "user#42", "unsubscribe": {"code": 2500, "reason": "insufficient state"}})
        await until(lambda: len(server.subscribes) == 2)
        await request.ack(data=1)

        assert await soon(call) == 1
        assert server.requests.empty()

    async def test_the_sdks_own_timeout_does_not_cut_it(self, server: FakeCentrifugo, connect: Connect) -> None:
        client = await connect()
        client._client._timeout = 0.01  # stands for its five seconds
        call = begin(client, transport="rpc", timeout=5)
        request = await server.request()
        await asyncio.wait({call}, timeout=0.1)
        await request.ack(data="slow")

        assert await soon(call) == "slow"

    async def test_deadline(self, server: FakeCentrifugo, connect: Connect) -> None:
        call = begin(await connect(), transport="rpc", timeout=0.05)
        await server.request()

        assert (await failure(call)).code == "timeout"
