from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
import uvicorn

from django_cfg.apps.centrifugo import refusals
from django_cfg.apps.centrifugo.publish import publish_to_user
from django_cfg.apps.centrifugo.tests.api_stub import ApiStub, api_stub
from django_cfg.apps.centrifugo.tests.proxied import SECRET, envelope, native, publish_body
from django_cfg.apps.centrifugo.worker import Worker
from django_cfg.rpc.publisher import installed_publisher
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.tests.running import BOUND_SECONDS, until

PUBLISH, RPC = "/centrifugo/publish", "/centrifugo/rpc"
NATIVE = msgspec.json.encode(native())
ACCEPTED = (200, b'{"result":{"skip_history":true}}')
REPLY = ("user#42", {"correlation_id": "c1", "result": {"total": 3}})


@pytest.fixture
def stub(router: MessageRouter) -> Generator[ApiStub]:
    router.register_handler("add", add)
    with api_stub() as stub:
        yield stub


def make_worker(stub: ApiStub, **changes: Any) -> Worker:
    return Worker(stub.config(proxy_secret=SECRET, max_request_bytes=10_000, **changes))


async def request(
    worker: Worker, path: str, chunks: list[bytes], *, method: str = "POST", headers: dict[str, str] | None = None
) -> tuple[int, bytes] | None:
    """Status and body; None when there was no response. After the chunks the client goes."""
    given = {"x-rpc-proxy-key": SECRET} if headers is None else headers
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if messages:
        messages[-1]["more_body"] = False
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    await worker({"type": "http", "path": path, "method": method, "headers": encoded}, receive, send)
    return (sent[0]["status"], sent[1]["body"]) if sent else None


@asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[Worker]:
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def test_both_proxies(stub: ApiStub) -> None:
    async with running(make_worker(stub)) as worker:
        assert await request(worker, PUBLISH, [publish_body()]) == ACCEPTED
        assert await request(worker, RPC, [NATIVE]) == (200, b'{"result":{"data":{"total":3}}}')
        await until(lambda: stub.published == [REPLY])
        assert stub.requests[0].path == "/api/batch"


async def test_a_body_in_pieces(stub: ApiStub) -> None:
    async with running(make_worker(stub)) as worker:
        assert await request(worker, RPC, [bytes([byte]) for byte in NATIVE]) == (
            200,
            b'{"result":{"data":{"total":3}}}',
        )


@pytest.mark.parametrize("path", [PUBLISH, RPC])
@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "\xff"])
async def test_without_the_secret_nothing_runs(path: str, secret: str | None, stub: ApiStub) -> None:
    headers = {} if secret is None else {"x-rpc-proxy-key": secret}
    async with running(make_worker(stub)) as worker:
        answer = await request(worker, path, [publish_body()], headers=headers)
        assert answer is not None
        assert answer[0] == 403
    assert stub.requests == []


async def test_a_wrong_secret_is_logged_once_a_minute(
    stub: ApiStub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients see nothing but a timeout."""
    monkeypatch.setattr(refusals, "_last", {})
    async with running(make_worker(stub)) as worker:
        for _ in range(3):
            await request(worker, RPC, [publish_body()], headers={"x-rpc-proxy-key": "hunter2"})

    (message,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert "X-Rpc-Proxy-Key" in message
    assert "generate_centrifugo_config" in message
    assert "hunter2" not in message


async def test_other_refusals(stub: ApiStub) -> None:
    too_long = b" " * 30_000
    said = {"x-rpc-proxy-key": SECRET, "content-length": "30000"}
    async with running(make_worker(stub)) as worker:
        for expected, answer in (
            (405, await request(worker, RPC, [NATIVE], method="GET")),
            (413, await request(worker, RPC, [b"never read"], headers=said)),
            (413, await request(worker, RPC, [too_long])),
            (413, await request(worker, RPC, [too_long[:20_000]] * 10_000)),
            (400, await request(worker, RPC, [b"[]"])),
            (400, await request(worker, PUBLISH, [b"\xff"])),
            (404, await request(worker, "/centrifugo/other", [b""])),
        ):
            assert answer is not None
            assert answer[0] == expected


async def test_a_client_that_leaves_in_mid_request_is_not_answered(stub: ApiStub) -> None:
    async with running(make_worker(stub)) as worker:
        assert await request(worker, RPC, []) is None


async def test_health(stub: ApiStub) -> None:
    worker = make_worker(stub)
    assert await request(worker, "/livez", [], method="GET") == (200, b"ok")
    assert await request(worker, "/readyz", [], method="GET") == (503, b"not serving")
    assert await request(worker, RPC, [NATIVE]) == (503, b"not serving")
    async with running(worker):
        assert await request(worker, "/readyz", [], method="GET") == (200, b"ok")
    assert await request(worker, "/readyz", [], method="GET") == (503, b"not serving")


async def test_stopping_finishes_calls_and_sends_their_replies(stub: ApiStub, router: MessageRouter) -> None:
    gate = asyncio.Event()

    async def hold(conn: Any, params: Any) -> str:
        await gate.wait()
        return "held"

    router.register_handler("hold", hold)
    worker = make_worker(stub)
    await worker.start()
    await request(worker, PUBLISH, [publish_body(envelope(method="hold"))])
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    assert await request(worker, "/readyz", [], method="GET") == (503, b"not serving")
    answer = await request(worker, PUBLISH, [publish_body(envelope(correlation_id="c2"))])
    assert answer is not None
    assert b'"code":1008' in answer[1]
    gate.set()
    await stopping
    assert stub.published == [("user#42", {"correlation_id": "c1", "result": "held"})]
    assert installed_publisher() is None


async def test_what_stopping_cuts_short_is_answered_too(stub: ApiStub, router: MessageRouter) -> None:
    async def hold(conn: Any, params: Any) -> None:
        await asyncio.Event().wait()

    router.register_handler("hold", hold)
    async with running(make_worker(stub, drain_timeout_seconds=0.01)) as worker:
        await request(worker, PUBLISH, [publish_body(envelope(method="hold"))])
    assert [data["error"]["code"] for _, data in stub.published] == ["outcome_unknown"]


async def test_pushes_of_handlers_take_the_workers_own_way(stub: ApiStub, router: MessageRouter) -> None:
    async def push(conn: Any, params: Any) -> None:
        await asyncio.to_thread(publish_to_user, "7", "news", {"id": 1})

    router.register_handler("push", push)
    async with running(make_worker(stub)) as worker:
        await request(worker, PUBLISH, [publish_body(envelope(method="push"))])
        await until(lambda: len(stub.published) == 2)
    assert stub.published[0] == ("user#7", {"event": "news", "data": {"id": 1}})
    assert {seen.path for seen in stub.requests} == {"/api/batch"}


async def test_websockets_are_closed(stub: ApiStub) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await make_worker(stub)({"type": "websocket", "path": PUBLISH}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_over_a_real_socket(stub: ApiStub) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    options = uvicorn.Config(make_worker(stub), lifespan="on", log_level="warning", access_log=False)
    server = uvicorn.Server(options)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    async with aiohttp.ClientSession(headers={"X-Rpc-Proxy-Key": SECRET}) as session:
        async with session.post(address + RPC, data=NATIVE) as response:
            assert await response.json() == {"result": {"data": {"total": 3}}}
        answers = await asyncio.gather(
            *(session.post(address + PUBLISH, data=publish_body(envelope(correlation_id=f"c{n}"))) for n in range(30))
        )
        assert [answer.status for answer in answers] == [200] * 30
        for answer in answers:
            answer.release()
        async with session.post(address + RPC, data=NATIVE, headers={"X-Rpc-Proxy-Key": "wrong"}) as response:
            assert response.status == 403
    server.should_exit = True
    await asyncio.wait_for(serving, BOUND_SECONDS)
    assert {data["correlation_id"] for _, data in stub.published} == {f"c{n}" for n in range(30)}
