"""Every client against every kind of server: calls, errors, pushes, channels."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.e2e.driving import CallFailed, Driver
from tests.e2e.servers import Servers

TRANSPORTS = ["publish", "rpc"]


@pytest.fixture
def user() -> str:
    return f"u-{uuid.uuid4().hex[:12]}"


async def test_typed_call(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)

    assert await driver.do("typed", text="näive 🙂") == {"text": "näive 🙂", "number": 10, "user_id": user}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_both_transports_give_the_same_result(site: Servers, driver: Driver, user: str, transport: str) -> None:
    params = {"text": 'a"\\\n\u2028', "number": -5, "mood": "wild", "address": {"city": "Ōsaka", "zip_codes": [1, 2]}}
    await driver.connect(site, user, transport=transport)

    result = await driver.call("echo.say", params)

    assert result == {**params, "tags": {}, "at": None, "user_id": user}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("errors.raise", {"kind": "value"}, "application_error", "Task 999 not found"),
        ("nobody.here", {}, "method_not_found", "nobody.here"),
        ("echo.say", {"text": 5}, "invalid_params", "text"),
        ("errors.raise", {"kind": "secret"}, "internal_error", "internal error"),
    ],
)
async def test_errors(
    site: Servers, driver: Driver, user: str, transport: str, method: str, params: Any, code: str, text: str
) -> None:
    await driver.connect(site, user, transport=transport)

    with pytest.raises(CallFailed) as failed:
        await driver.call(method, params)

    assert failed.value.code == code
    assert text in failed.value.message
    assert "canary" not in str(failed.value.error)
    assert failed.value.error["retryable"] is False


async def test_a_declared_error_travels_whole(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)

    with pytest.raises(CallFailed) as failed:
        await driver.call("errors.raise", {"kind": "locked"})

    assert failed.value.error["code"] == "task_locked"
    assert failed.value.error["details"] == {"by": "ann"}
    assert failed.value.error["retryable"] is True
    assert failed.value.error["retry_after"] == 2.5


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_deadline_is_a_timeout(site: Servers, driver: Driver, user: str, transport: str) -> None:
    await driver.connect(site, user, transport=transport)

    with pytest.raises(CallFailed) as failed:
        await driver.call("echo.sleep", {"seconds": 30}, timeout=0.4)

    assert failed.value.code == "timeout"


async def test_a_cancelled_call_ends_at_once_and_the_client_goes_on(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)
    number, slow = driver.start("call", method="echo.sleep", params={"seconds": 30})
    assert await driver.call("echo.sleep", {"seconds": 0}) == {"ok": True}

    await driver.do("cancel", of=number)

    with pytest.raises(CallFailed) as failed:
        await asyncio.wait_for(slow, 10)
    assert failed.value.code == "cancelled"
    assert await driver.call("echo.sleep", {"seconds": 0}) == {"ok": True}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_200_calls_of_two_users_are_never_mixed_up(
    site: Servers, driver: Driver, user: str, transport: str
) -> None:
    users = [user + "-a", user + "-b"]
    for name in users:
        await driver.connect(site, name, client=name, transport=transport)
    asked = {name: [{"text": f"{name} {n}", "number": n} for n in range(100)] for name in users}

    answers = await asyncio.gather(*(driver.many("echo.say", asked[name], client=name) for name in users))

    for name, outcomes in zip(users, answers, strict=True):
        got = [(o["ok"]["text"], o["ok"]["number"], o["ok"]["user_id"]) for o in outcomes]
        assert got == [(p["text"], p["number"], name) for p in asked[name]]


async def test_two_tabs_of_one_user_get_their_own_replies(site: Servers, driver: Driver, user: str) -> None:
    tabs = ["left", "right"]
    for tab in tabs:
        await driver.connect(site, user, client=tab)

    answers = await asyncio.gather(
        *(driver.many("echo.say", [{"text": f"{tab} {n}"} for n in range(50)], client=tab) for tab in tabs)
    )

    for tab, outcomes in zip(tabs, answers, strict=True):
        assert [o["ok"]["text"] for o in outcomes] == [f"{tab} {n}" for n in range(50)]


async def test_fast_calls_overtake_a_slow_one(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)
    _, slow = driver.start("call", method="echo.sleep", params={"seconds": 5})

    for _ in range(20):
        await driver.call("echo.say", {"text": "fast"})

    assert not slow.done()
    assert await asyncio.wait_for(slow, 20) == {"ok": True}


async def test_database_calls_side_by_side(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)

    outcomes = await driver.many("db.count", [{}] * 60)

    assert outcomes == [{"ok": {"count": 0}}] * 60


async def test_pushes_reach_every_tab(site: Servers, driver: Driver, user: str) -> None:
    for tab in ("left", "right"):
        await driver.connect(site, user, client=tab)
        await driver.do("on", tab, event="news")

    await driver.call("push.me", {"event": "news", "data": {"n": 1}}, client="left")

    pushes = [await driver.next_push(), await driver.next_push()]
    assert sorted(p["client"] for p in pushes) == ["left", "right"]
    assert all(p["data"] == {"n": 1} for p in pushes)


async def test_a_channel_needs_its_token(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)
    opened = await driver.call("stream.open")
    with pytest.raises(CallFailed) as refused:
        await driver.do("subscribe", channel=opened["channel"], token="")
    assert refused.value.code in ("permission_denied", "unauthorized")

    await driver.do("subscribe", channel=opened["channel"], token=opened["token"])
    await driver.call("stream.emit", {"channel": opened["channel"], "data": {"value": 7}})

    push = await driver.next_push()
    assert (push["channel"], push["data"]) == (opened["channel"], {"value": 7})


async def test_a_wrong_token_is_unauthorized(site: Servers, driver: Driver, user: str) -> None:
    with pytest.raises(CallFailed) as failed:
        await driver.connect(site, user, token=site.token(user) + "x", timeout=10)

    assert failed.value.code == "unauthorized"


async def test_another_users_reply_channel_is_refused(site: Servers, driver: Driver, user: str) -> None:
    with pytest.raises(CallFailed) as failed:
        await driver.connect(site, user, token=site.token("mallory"), timeout=10)

    assert failed.value.code in ("unauthorized", "permission_denied")


async def test_a_reply_over_the_limit_is_an_error_that_says_so(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)

    with pytest.raises(CallFailed) as failed:
        await driver.call("big.reply", {"size": 600_000})

    assert failed.value.code == "validation_error"
    assert "max_reply_bytes" in failed.value.message
    assert len((await driver.call("big.reply", {"size": 400_000}))["text"]) == 400_000


async def test_a_request_over_the_limit_never_leaves_the_client(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user)

    with pytest.raises(CallFailed) as failed:
        await driver.call("echo.say", {"text": "x" * 300_000})

    assert failed.value.code == "validation_error"
    assert len((await driver.call("echo.say", {"text": "x" * 200_000}))["text"]) == 200_000
    assert await driver.do("state") == ["connecting", "connected"]


async def test_the_token_is_refreshed_before_it_expires(site: Servers, driver: Driver, user: str) -> None:
    await driver.connect(site, user, token=site.token(user, ttl=4), tokens=[site.token(user, ttl=600)])

    outcomes = await driver.many("echo.sleep", [{"seconds": 8}])

    assert outcomes == [{"ok": {"ok": True}}]
    assert await driver.do("state") == ["connecting", "connected"]
