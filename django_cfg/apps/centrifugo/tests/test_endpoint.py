from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.tests.proxied import Backend, envelope, native, publication
from django_cfg.rpc.runner import Limits
from django_cfg.rpc.tests.running import until

ACCEPTED = {"result": {"skip_history": True}}
REPLY = {"correlation_id": "c1", "result": {"total": 3}}


def accepted(answer: dict[str, Any]) -> bool:
    return bool(answer["result"] and answer["result"]["skip_history"])


async def test_a_publication_is_accepted_and_answered_on_the_users_channel() -> None:
    backend = Backend()
    assert accepted(await backend.publish(publication(envelope(reply_to="user#victim"))))
    assert backend.delivered == [("user#42", REPLY)]


async def test_it_is_accepted_before_the_handler_ends() -> None:
    backend, gate = Backend(), asyncio.Event()

    async def hold(conn: Any, params: Any) -> None:
        await gate.wait()

    backend.router.register_handler("hold", hold)
    answer = await backend.endpoint.publish(publication(envelope(method="hold")))
    assert answer.result is not None
    assert backend.delivered == []
    gate.set()
    await until(lambda: backend.delivered == [("user#42", {"correlation_id": "c1", "result": None})])


async def test_refusals_deliver_nothing_and_run_nothing() -> None:
    backend = Backend()
    for request in (publication(user=""), publication(channel="user#victim"), publication(b"[]")):
        answer = await backend.publish(request)
        assert answer["error"]["code"] in (1005, 1014, 1004)
        assert answer["error"]["message"]
    assert backend.delivered == []


async def test_over_the_bounds_the_proxy_itself_refuses() -> None:
    backend, gate = Backend(limits=Limits(max_concurrent_calls=1)), asyncio.Event()

    async def hold(conn: Any, params: Any) -> None:
        await gate.wait()

    backend.router.register_handler("hold", hold)
    await backend.endpoint.publish(publication(envelope(method="hold")))
    answer = await backend.endpoint.publish(publication(envelope(correlation_id="c2")))
    assert answer.error is not None
    assert (answer.error.code, answer.error.temporary) == (1008, True)
    gate.set()
    await backend.runner_idle()


async def test_a_repeated_call_runs_once_and_gets_the_stored_reply() -> None:
    backend, runs = Backend(), 0

    async def count(conn: Any, params: Any) -> int:
        nonlocal runs
        runs += 1
        return runs

    backend.router.register_handler("count", count)
    for timeout_ms in (5000, 4000, ...):
        assert accepted(await backend.publish(publication(envelope(method="count", timeout_ms=timeout_ms))))
    assert backend.delivered == [("user#42", {"correlation_id": "c1", "result": 1})] * 3


async def test_the_same_id_with_other_params_is_refused() -> None:
    backend = Backend()
    await backend.publish(publication())
    await backend.publish(publication(envelope(params={"a": 5})))
    assert backend.delivered[0] == ("user#42", REPLY)
    assert backend.delivered[1][1]["error"]["code"] == "validation_error"


async def test_the_same_id_of_another_user_is_another_call() -> None:
    backend = Backend()
    await backend.publish(publication())
    await backend.publish(publication(envelope(params={"a": 5}), user="7"))
    assert backend.delivered[1] == ("user#7", {"correlation_id": "c1", "result": {"total": 5}})


@pytest.mark.parametrize(
    ("method", "data", "expected"),
    [
        ("add", {"a": 1, "b": 2}, {"result": {"data": {"total": 3}}}),
        ("add", {}, 1003),
        ("nobody", {}, 1002),
        ("add", [], 1004),
    ],
)
async def test_native_calls(method: str, data: Any, expected: Any) -> None:
    answer = await Backend().rpc(native(method, data))
    if isinstance(expected, int):
        assert answer["error"]["code"] == expected
        assert answer["error"]["message"]
    else:
        assert answer == expected


async def test_native_calls_are_no_repeats_of_each_other() -> None:
    backend = Backend()
    assert await backend.rpc(native(data={"a": 1})) == {"result": {"data": {"total": 1}}}
    assert await backend.rpc(native(data={"a": 2})) == {"result": {"data": {"total": 2}}}
    assert backend.delivered == []


async def test_a_result_over_the_limit_on_both_ways() -> None:
    backend = Backend(CentrifugoConfig(max_reply_bytes=1024))

    async def long(conn: Any, params: Any) -> str:
        return "x" * 5000

    backend.router.register_handler("long", long)
    await backend.publish(publication(envelope(method="long")))
    assert backend.delivered[0][1]["error"]["code"] == "validation_error"
    assert (await backend.rpc(native("long")))["error"]["code"] == 1004


async def test_what_runs_before_the_answer_where_no_loop_outlives_the_request() -> None:
    backend = Backend()
    backend.endpoint = type(backend.endpoint)(backend.runner, CentrifugoConfig(), backend.deliver, answer_first=False)
    assert await backend.endpoint.publish(publication()) is not None
    assert backend.delivered == [("user#42", REPLY)]
