from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from pydantic import BaseModel

from django_cfg.errors import RPCError, ServiceUnavailableError
from django_cfg.rpc.claims import Decision, Key
from django_cfg.rpc.memory_claims import MemoryClaims
from django_cfg.rpc.method import Handler, Transport
from django_cfg.rpc.permissions import IsService
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import Limits
from django_cfg.rpc.tests.models import add
from django_cfg.rpc.tests.running import Replies, make_call, make_runner, until

CANARY = "canary-5e21"
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


class World:
    """One router, one runner, its replies; `gate` holds handlers, `runs` counts them."""

    def __init__(self, **options: Any) -> None:
        self.router = MessageRouter()
        self.runner = make_runner(self.router, **options)
        self.replies = Replies()
        self.gate = asyncio.Event()
        self.runs = 0
        self.handle("hold", self.hold)
        self.router.register_handler("add", add)

    def handle(self, name: str, work: Callable[[Any, Any], Coroutine[Any, Any, Any]], **options: Any) -> None:
        async def handler(conn: Any, params: Any) -> Any:
            self.runs += 1
            return await work(conn, params)

        self.router.register_handler(name, handler, **options)

    async def hold(self, conn: Any, params: Any) -> str:
        await self.gate.wait()
        return "held"

    def start(self, method: str, params: bytes = b"{}", **changes: Any) -> None:
        self.runner.start(make_call(method, params, **changes), self.replies.encode, self.replies.send)

    async def call(self, method: str, params: bytes = b"{}", **changes: Any) -> dict[str, Any]:
        self.start(method, params, **changes)
        return await self.replies.next()


async def raising(error: BaseException, **options: Any) -> dict[str, Any]:
    world = World()

    async def fail(conn: Any, params: Any) -> None:
        raise error

    world.handle("fail", fail, **options)
    reply = await world.call("fail")
    await until(lambda: world.runner.in_flight == 0)
    return reply


async def test_a_call_and_its_reply() -> None:
    world = World()
    assert await world.call("add", b'{"a":1,"b":2}') == {"result": {"total": 3}}
    reply = await world.runner.run(make_call("add", b'{"a":1}'))
    assert reply.result == b'{"total":1}'


async def test_conn_says_who_calls_and_until_when() -> None:
    world = World()
    seen: list[Any] = []

    async def look(conn: Any, params: Any) -> None:
        seen.append(conn)

    world.handle("look", look)
    await world.call("look", client_id="client-1", meta={"role": "admin"}, timeout_seconds=5.0)
    conn = seen[0]
    assert (conn.user_id, conn.client_id, conn.transport, conn.method) == ("42", "client-1", "centrifugo", "look")
    assert (conn.correlation_id, conn.meta, conn.is_service) == ("c1", {"role": "admin"}, False)
    assert 0 < conn.remaining_seconds <= 5


async def test_a_handler_has_a_task_and_a_context_of_its_own() -> None:
    world = World()

    async def look(conn: Any, params: Any) -> list[str]:
        task = asyncio.current_task()
        return [request_id.get(), str(task is caller)]

    world.handle("look", look)
    request_id.set("the request's")
    caller = asyncio.current_task()
    assert await world.call("look") == {"result": ["none", "False"]}


async def test_a_running_call_survives_garbage_collection() -> None:
    world = World()
    world.start("hold")
    await until(lambda: world.runs == 1)
    gc.collect()
    world.gate.set()
    assert await world.replies.next() == {"result": "held"}


async def test_the_deadline_cancels_and_answers() -> None:
    world, ended = World(), asyncio.Event()

    async def work(conn: Any, params: Any) -> None:
        try:
            await world.gate.wait()
        finally:
            ended.set()

    world.handle("work", work)
    error = (await world.call("work", timeout_seconds=0.02))["error"]
    assert (error["code"], error["retryable"]) == ("timeout", True)
    assert error["message"] == "work did not finish within 0.02 s"
    assert error["details"] == {"state": "stopped"}
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: world.runner.in_flight == 0)


async def test_a_deadline_is_no_failure_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    await world.call("hold", timeout_seconds=0.02)
    await until(lambda: world.runner.in_flight == 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_handler_that_swallows_cancellation_is_answered_for_and_keeps_its_slot() -> None:
    world = World()

    async def stubborn(conn: Any, params: Any) -> str:
        while not world.gate.is_set():
            try:
                await world.gate.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    world.handle("stubborn", stubborn)
    assert (await world.call("stubborn", timeout_seconds=0.02))["error"]["code"] == "timeout"
    assert world.runner.in_flight == 1
    world.gate.set()
    await until(lambda: world.runner.in_flight == 0)
    assert len(world.replies.sent) == 1


async def test_a_deadline_before_the_first_step_gives_the_slot_back() -> None:
    world = World()
    for number in range(20):
        world.start("hold", timeout_seconds=1e-6, correlation_id=f"c{number}")
    assert world.runner.in_flight == 20

    for _ in range(20):
        assert (await world.replies.next())["error"]["code"] == "timeout"
    await until(lambda: world.runner.in_flight == 0)
    assert await world.runner.drain(1) == 0


class Unmade(RPCError):
    """Its constructor forgets the one that it inherits."""

    code = "task_locked"

    def __init__(self, task: int) -> None:
        self.task = task


class Unreadable(RPCError):
    code = "unreadable"

    def __getattribute__(self, name: str) -> Any:
        if name == "details":
            raise KeyError(name)
        return super().__getattribute__(name)


async def test_an_error_without_its_parents_constructor_is_an_answer() -> None:
    error = (await raising(Unmade(7), errors=[Unmade]))["error"]
    assert (error["code"], error["message"], error["details"]) == ("task_locked", "7", None)


async def test_an_error_that_cannot_be_read_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    error = (await raising(Unreadable("boom"), errors=[Unreadable]))["error"]
    assert error["code"] == "internal_error"
    assert "the error itself cannot be read: KeyError('details')" in caplog.text


async def test_a_call_is_answered_whatever_breaks_around_its_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise RuntimeError("no spans today")

    monkeypatch.setattr("django_cfg.rpc.tracing.server_span", broken)
    world = World()
    reply = await world.runner.run(make_call("add", b'{"a":1}'))
    assert reply.error is not None
    assert reply.error.code == "internal_error"
    assert world.runner.in_flight == 0


async def test_bounds_for_one_user_and_for_all() -> None:
    world = World(limits=Limits(max_concurrent_calls=3, max_concurrent_calls_per_user=2))
    for number in range(2):
        world.start("hold", correlation_id=f"a{number}")
    with pytest.raises(RPCError) as caught:
        world.start("hold", correlation_id="a2")
    assert (caught.value.code, caught.value.retry_after) == ("rate_limit_exceeded", 1.0)
    world.start("hold", user_id="7")
    with pytest.raises(ServiceUnavailableError):
        world.start("hold", user_id="8")
    refused = await world.runner.run(make_call("hold", user_id="8"))
    assert refused.error is not None
    assert refused.error.code == "service_unavailable"
    world.gate.set()
    await until(lambda: world.runner.in_flight == 0)
    assert world.runs == 3
    assert await world.call("add", b'{"a":1}') is not None


async def test_thousands_of_calls_leave_nothing_behind() -> None:
    world = World()
    for number in range(1500):
        world.start("add", b'{"a":1}', correlation_id=str(number), user_id=str(number % 3))
    await until(lambda: len(world.replies.sent) == 1500)
    await until(lambda: world.runner.in_flight == 0)
    await until(lambda: not world.runner._tasks)  # pyright: ignore[reportPrivateUsage]
    assert not world.runner._running  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Task 999 not found"),
        pytest.param(RPCError("gone", code="resource_not_found"), id="own"),
    ],
)
async def test_shown_failures(error: Exception) -> None:
    reply = await raising(error)
    assert reply["error"]["message"] == str(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(CANARY),
        SystemExit(CANARY),
        KeyboardInterrupt(CANARY),
        GeneratorExit(CANARY),
        StopIteration(CANARY),
        StopAsyncIteration(CANARY),
        asyncio.CancelledError(CANARY),
        RecursionError(CANARY),
        TimeoutError(CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
        BaseException(CANARY),
        RPCError("x", details={"a": {CANARY: object()}}),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_hidden_failures(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    reply = await raising(error)
    assert reply["error"]["code"] == "internal_error"
    assert CANARY not in str(reply)
    record = caplog.records[-1]
    assert record.levelno == logging.ERROR
    assert reply["error"]["details"]["error_id"] in record.getMessage()
    assert record.exc_info


async def test_endless_recursion_is_a_failure_like_others() -> None:
    world = World()

    async def deeper(conn: Any, params: Any) -> Any:
        return await deeper(conn, params)

    world.handle("deeper", deeper)
    assert (await world.call("deeper"))["error"]["code"] == "internal_error"
    assert await world.call("add", b'{"a":1}', correlation_id="c2") == {"result": {"total": 1}}


async def test_the_synchronous_orm_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def count(conn: Any, params: Any) -> int:
        return User.objects.count()

    world.router.register_handler("count", count)
    reply = await world.call("count")
    assert reply["error"]["code"] == "internal_error"
    record = caplog.records[-1]
    assert record.exc_info
    assert isinstance(record.exc_info[1], SynchronousOnlyOperation)
    assert "count (" in record.getMessage()
    assert f"test_runner.py:{count.__code__.co_firstlineno})" in record.getMessage()
    assert "acount" in record.getMessage()


async def test_a_wrong_result_is_the_servers_fault_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Result(BaseModel):
        n: int

    async def wrong(conn: Any, params: Any) -> Result:
        return {"n": CANARY}  # type: ignore[return-value]

    world = World()
    world.router.register_handler("wrong", wrong, localns=locals())
    reply = await world.call("wrong")
    assert reply["error"]["code"] == "validation_error"
    assert CANARY not in str(reply)
    assert caplog.records[-1].levelno == logging.ERROR


async def test_declared_errors_reach_the_caller() -> None:
    class Locked(RPCError):
        code = "locked"

    assert (await raising(Locked("by ann"), errors=[Locked]))["error"]["code"] == "locked"
    assert (await raising(Locked("by ann")))["error"]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("method", "params", "changes", "code"),
    [
        ("nobody", b"{}", {}, "method_not_found"),
        ("for.services", b"{}", {}, "permission_denied"),
        ("add", b'{"a":1}', {"user_id": None}, "unauthorized"),
        ("add", b"{}", {}, "invalid_params"),
        ("add", b'{"a":1}', {"transport": Transport.REDIS, "is_service": True, "user_id": None}, None),
        ("only.redis", b"{}", {}, "method_not_found"),
    ],
)
async def test_who_may_call_what(method: str, params: bytes, changes: dict[str, Any], code: str | None) -> None:
    world = World()
    world.handle("for.services", world.hold, permissions=[IsService])
    world.handle("only.redis", world.hold, transports=["redis"])
    reply = await world.call(method, params, **changes)
    assert reply.get("error", {}).get("code") == code
    assert world.runs == 0


async def test_permissions_and_middleware_see_the_connection() -> None:
    world = World()
    seen: list[Any] = []

    def permit(conn: Any, info: Any) -> bool:
        seen.append(("permission", conn.user_id, info.name))
        return True

    async def layer(conn: Any, params: Any, call_next: Handler) -> Any:
        seen.append(("middleware", conn.user_id, conn.method))
        return await call_next(conn, params)

    world.router.middleware.append(layer)
    world.handle("open", world.hold, permissions=[permit])
    world.gate.set()
    await world.call("open")
    assert seen == [("permission", "42", "open"), ("middleware", "42", "open")]


async def test_a_repeat_is_answered_from_the_stored_reply() -> None:
    world = World()
    world.gate.set()
    assert await world.call("hold") == {"result": "held"}
    assert await world.call("hold") == {"result": "held"}
    assert world.runs == 1


async def test_a_repeat_of_a_running_call_is_dropped() -> None:
    world = World()
    world.start("hold")
    await until(lambda: world.runs == 1)
    world.start("hold")
    await until(lambda: world.runner.in_flight == 1)
    world.gate.set()
    await world.replies.next()
    await until(lambda: world.runner.in_flight == 0)
    assert (world.runs, len(world.replies.sent)) == (1, 1)


@pytest.mark.parametrize(("method", "params"), [("hold", b'{"a":1}'), ("add", b"{}")])
async def test_the_same_id_for_another_call_is_refused(method: str, params: bytes) -> None:
    world = World()
    world.gate.set()
    await world.call("hold")
    assert (await world.call(method, params))["error"]["code"] == "validation_error"
    assert world.runs == 1


async def test_users_cannot_see_each_others_replies() -> None:
    world = World()
    assert await world.call("add", b'{"a":1}', user_id="1") == {"result": {"total": 1}}
    assert await world.call("add", b'{"a":2}', user_id="2") == {"result": {"total": 2}}


async def test_a_call_comes_again_after_the_server_gave_up_on_it() -> None:
    """The caller waits longer than the server allows: its call must still not run twice."""
    now = 0.0
    world = World(claims=MemoryClaims(clock=lambda: now))
    changes: dict[str, Any] = {"timeout_seconds": 0.02, "keep_seconds": 300.0}
    assert (await world.call("hold", **changes))["error"]["code"] == "timeout"
    now = 200.0
    assert (await world.call("hold", **changes))["error"]["code"] == "timeout"
    assert world.runs == 1


async def test_a_store_that_refuses_is_an_answer() -> None:
    class Full(MemoryClaims):
        async def claim(self, key: Key, mark: bytes, **options: Any) -> Decision:
            raise ServiceUnavailableError("full")

    world = World(claims=Full())
    assert (await world.call("hold"))["error"]["code"] == "service_unavailable"
    await until(lambda: world.runner.in_flight == 0)
    assert world.runs == 0


async def test_a_store_that_breaks_gives_its_slot_back(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryClaims):
        async def claim(self, key: Key, mark: bytes, **options: Any) -> Decision:
            raise OSError("gone")

    world = World(claims=Broken())
    world.start("hold")
    await until(lambda: world.runner.in_flight == 0)
    assert (world.runs, world.replies.sent) == (0, [])
    assert "could not be delivered" in caplog.text


async def test_a_reply_that_cannot_be_delivered_is_kept_for_the_repeat(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def broken(message: bytes) -> None:
        raise OSError("gone")

    world.runner.start(make_call("add", b'{"a":1}'), world.replies.encode, broken)
    await until(lambda: "could not be delivered" in caplog.text)
    assert await world.call("add", b'{"a":1}') == {"result": {"total": 1}}


async def test_draining_finishes_what_runs_and_refuses_the_rest() -> None:
    world = World()
    world.start("hold")
    await until(lambda: world.runs == 1)
    draining = asyncio.create_task(world.runner.drain(10))
    await until(lambda: world.runner.draining)
    with pytest.raises(ServiceUnavailableError, match="shutting down"):
        world.start("hold", correlation_id="c2")
    world.gate.set()
    assert await draining == 0
    assert world.replies.sent == [b'{"result":"held"}']


async def test_what_a_drain_cuts_short_has_an_unknown_outcome() -> None:
    world = World()
    world.start("hold")
    waiting = asyncio.create_task(world.runner.run(make_call("hold")))
    await until(lambda: world.runs == 2)
    assert await world.runner.drain(0.01) == 2
    assert (await world.replies.next())["error"]["code"] == "outcome_unknown"
    reply = await waiting
    assert reply.error is not None
    assert reply.error.code == "outcome_unknown"
    assert world.runner.in_flight == 0


async def test_a_caller_that_leaves_does_not_stop_its_call() -> None:
    world = World()
    finished: list[str] = []

    async def hold(conn: Any, params: Any) -> None:
        await world.gate.wait()
        finished.append(conn.correlation_id)

    world.handle("finish", hold)
    native = make_call("finish", correlation_id="native")
    claimed = make_call("finish", correlation_id="claimed")
    calls: list[asyncio.Task[Any]] = [
        asyncio.create_task(world.runner.run(native)),
        asyncio.create_task(world.runner.run_claimed(claimed, world.replies.encode, world.replies.send)),
    ]
    await until(lambda: world.runs == 2)
    for task in calls:
        task.cancel()
    await asyncio.wait(calls)
    world.gate.set()
    await until(lambda: world.runner.in_flight == 0)
    assert sorted(finished) == ["claimed", "native"]


def test_a_loop_that_ends_with_the_request() -> None:
    """As under WSGI: the call is finished and its reply sent before the loop ends."""
    replies = Replies()
    router = MessageRouter()
    router.register_handler("add", add)

    async def request() -> None:
        await make_runner(router).run_claimed(make_call("add", b'{"a":1}'), replies.encode, replies.send)

    asyncio.run(request())
    assert replies.sent == [b'{"result":{"total":1}}']
