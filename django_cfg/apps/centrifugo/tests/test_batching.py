from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from django_cfg.apps.centrifugo import batching
from django_cfg.apps.centrifugo.batching import BatchingPublisher
from django_cfg.apps.centrifugo.tests.api_stub import API_KEY, accept, api_stub
from django_cfg.errors import PublishError
from django_cfg.rpc.tests.running import BOUND_SECONDS, until


def publications(publisher: BatchingPublisher, count: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(publisher.publish(f"c{n}", b"%d" % n)) for n in range(count)]


async def test_what_comes_during_a_request_goes_into_the_next() -> None:
    gate = threading.Event()

    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        gate.wait(BOUND_SECONDS)
        return accept(path, body)

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config())
        first = asyncio.create_task(publisher.publish("first", b"0"))
        await until(lambda: len(stub.requests) == 1)
        rest = publications(publisher, 50)
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *rest)
        await publisher.close()
        assert [len(request.body["commands"]) for request in stub.requests] == [1, 50]
        assert {(request.path, request.key) for request in stub.requests} == {("/api/batch", API_KEY)}
        assert stub.published == [("first", 0), *((f"c{n}", n) for n in range(50))]


async def test_order_and_size_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_COUNT", 7)
    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        await asyncio.gather(*publications(publisher, 60))
        await publisher.close()
        assert [data for _, data in stub.published] == list(range(60))
        assert max(len(request.body["commands"]) for request in stub.requests) == 7


async def test_while_the_server_is_down_it_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    with api_stub() as gone:
        config, port = gone.config(), gone.port
    publisher = BatchingPublisher(config)
    waiting = publications(publisher, 3)
    await until(lambda: "trying again" in caplog.text)
    with api_stub(port) as stub:
        await asyncio.gather(*waiting)
        await publisher.close()
        assert [data for _, data in stub.published] == [0, 1, 2]


async def test_a_server_that_is_restarting_is_asked_again() -> None:
    answers = iter([(503, b"busy"), (502, b"")])

    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        return next(answers, None) or accept(path, body)

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config())
        await publisher.publish("c", b"1")
        await publisher.close()
        assert len(stub.requests) == 3


async def test_it_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GIVE_UP_SECONDS", 0.01)
    with api_stub() as gone:
        config = gone.config()
    publisher = BatchingPublisher(config)
    results = await asyncio.gather(*publications(publisher, 3), return_exceptions=True)
    assert [type(result) for result in results] == [PublishError] * 3
    assert "cannot be reached" in str(results[0])
    await publisher.close()


async def test_a_silent_server_holds_nobody_longer_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "GIVE_UP_SECONDS", 0.4)
    monkeypatch.setattr(batching, "BATCH_COUNT", 1)
    silent = threading.Event()

    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        silent.wait(BOUND_SECONDS)
        return 503, b""

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config(api_timeout_seconds=0.3))
        results = await asyncio.gather(*publications(publisher, 10), return_exceptions=True)
        assert [type(result) for result in results] == [PublishError] * 10
        assert len({command["publish"]["channel"] for r in stub.requests for command in r.body["commands"]}) <= 2
        await publisher.close()
        silent.set()


async def test_closing_waits_no_longer_than_some_seconds_for_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LAST_SECONDS", 0.2)
    monkeypatch.setattr(batching, "BATCH_COUNT", 1)
    silent = threading.Event()

    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        silent.wait(BOUND_SECONDS)
        return accept(path, body)

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config(api_timeout_seconds=BOUND_SECONDS))
        waiting = publications(publisher, 3)
        await until(lambda: len(stub.requests) == 1)
        await publisher.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [PublishError] * 3
        assert len(stub.requests) == 1
        silent.set()


async def test_a_channel_that_cannot_be_written_fails_alone() -> None:
    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        odd = asyncio.create_task(publisher.publish("half \ud800", b"0"))
        await asyncio.gather(*publications(publisher, 3))
        with pytest.raises(PublishError, match="cannot be written as JSON"):
            await odd
        await publisher.close()
        assert len(stub.published) == 3


async def test_what_is_sent_twice_has_one_key_and_replies_have_none() -> None:
    answers = iter([(502, b"")])

    with api_stub(respond=lambda path, body: next(answers, None) or accept(path, body)) as stub:
        publisher = BatchingPublisher(stub.config())
        await publisher.publish("c", b"1")
        await publisher.publish("c", b"2")
        await publisher.reply("c", b"3")
        await publisher.close()
    keys = [r.body["commands"][0]["publish"].get("idempotency_key") for r in stub.requests]
    assert keys[0] == keys[1]
    assert len({keys[0], keys[2], None}) == 3
    assert keys[3] is None


async def test_a_refused_publication_fails_alone() -> None:
    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        replies = [
            {"error": {"code": 102, "message": "unknown channel"}} if c["publish"]["channel"] == "c1" else {}
            for c in body["commands"]
        ]
        return 200, json.dumps({"replies": replies}).encode()

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config())
        results = await asyncio.gather(*publications(publisher, 3), return_exceptions=True)
        await publisher.close()
    assert results[0] is None
    assert results[2] is None
    assert isinstance(results[1], PublishError)


async def test_a_wrong_key_fails_at_once() -> None:
    with api_stub(respond=lambda path, body: (401, b"")) as stub:
        publisher = BatchingPublisher(stub.config())
        with pytest.raises(PublishError, match="API key"):
            await publisher.publish("c", b"1")
        await publisher.close()
        assert len(stub.requests) == 1


async def test_whatever_goes_wrong_whoever_waits_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(publisher: BatchingPublisher, url: str, body: bytes) -> tuple[int, bytes]:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(BatchingPublisher, "_post", broken)
    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        with pytest.raises(PublishError, match="not foreseen"):
            await publisher.publish("c", b"1")
        await publisher.close()


async def test_a_publisher_who_leaves_stops_nobody_else() -> None:
    gate = threading.Event()

    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        gate.wait(BOUND_SECONDS)
        return accept(path, body)

    with api_stub(respond=respond) as stub:
        publisher = BatchingPublisher(stub.config())
        first, second = publications(publisher, 2)
        await until(lambda: len(stub.requests) == 1)
        first.cancel()
        await asyncio.wait([first])
        gate.set()
        await second
        await publisher.close()
        assert len(stub.published) == 2


@pytest.mark.parametrize(("limit", "value"), [("MOST_QUEUED", 2), ("MOST_QUEUED_BYTES", 10)])
async def test_the_queue_is_bounded(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, limit, value)
    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        tasks = [asyncio.create_task(publisher.publish("c", b'"12345678"')) for _ in range(4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(result, PublishError) for result in results)
        await publisher.publish("c", b"1")
        await publisher.close()


async def test_closing_sends_what_is_queued() -> None:
    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        tasks = publications(publisher, 20)
        await asyncio.sleep(0)
        await publisher.close()
        assert len(stub.published) == 20
        await asyncio.gather(*tasks)


async def test_after_closing_it_refuses() -> None:

    with api_stub() as stub:
        publisher = BatchingPublisher(stub.config())
        await publisher.close()
        with pytest.raises(PublishError):
            await publisher.publish("c", b"1")
