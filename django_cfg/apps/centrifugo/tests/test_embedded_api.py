"""The server API on a clock of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_cfg.apps.centrifugo.embedded import api, codes

from .embedded_world import START, World


def test_every_kind_of_batch_command_is_answered_in_its_place() -> None:
    world = World()
    world.subscribed("open:a")
    commands: list[dict[str, Any]] = [
        {"publish": {"channel": "open:a", "data": 1}},
        {"broadcast": {"channels": ["open:a", "open:b"], "data": 2}},
        {"subscribe": {"user": "42", "channel": "open:c"}},
        {"unsubscribe": {"user": "42", "channel": "open:c"}},
        {"history": {"channel": "open:a", "limit": 1}},
        {"history_remove": {"channel": "open:a"}},
        {"presence_stats": {"channel": "open:a"}},
        {"presence": {"channel": "open:b"}},
        {"channels": {}},
        {"info": {}},
        {"refresh": {"user": "42"}},
        {"rpc": {"method": "x"}},
        {"disconnect": {"user": "42"}},
        {},
    ]
    replies = world.api("batch", commands=commands)["replies"]
    kinds = [next(iter(reply)) for reply in replies]
    assert kinds == [*(next(iter(c)) for c in commands[:11]), "error", "disconnect", "error"]
    assert [r["result"]["offset"] for r in replies[1]["broadcast"]["responses"]] == [2, 1]
    assert replies[4]["history"]["publications"][0]["offset"] == 1
    assert replies[6] == {"presence_stats": {"num_clients": 1, "num_users": 1}}
    assert replies[13] == {"error": {"code": 104, "message": "not found"}}


@pytest.mark.parametrize(
    ("body", "offsets"),
    [
        ({"limit": -1}, [2, 3, 4, 5, 6]),
        ({"limit": 2}, [2, 3]),
        ({"limit": 2, "reverse": True}, [6, 5]),
        ({"limit": -1, "since": {"offset": 4}}, [5, 6]),
        ({"limit": 1, "since": {"offset": 4}, "reverse": True}, [3]),
        ({"limit": -1, "since": {"offset": 6}}, []),
        ({}, []),
    ],
)
def test_reading_history(body: dict[str, Any], offsets: list[int]) -> None:
    world = World()
    for _ in range(6):
        world.publish("open:a")
    result = world.api("history", channel="open:a", **body)["result"]
    assert [p["offset"] for p in result["publications"]] == offsets
    assert result["offset"] == 6


def test_history_since_another_epoch_is_unrecoverable() -> None:
    world = World()
    world.publish("open:a")
    reply = world.api("history", channel="open:a", since={"offset": 1, "epoch": "other"})
    assert reply == {"error": {"code": 112, "message": "unrecoverable position"}}


def test_only_the_connection_meant_is_disconnected() -> None:
    world = World()
    first, second, third = world.connect(), world.connect(), world.connect()
    world.api("disconnect", user="42", client=first.session.id, disconnect={"code": 4500, "reason": "you"})
    assert (first.code, second.code) == (4500, None)
    world.api("disconnect", user="42", whitelist=[second.session.id])
    assert (second.code, third.code) == (None, 3503)
    world.api("disconnect", user="42", session="whatever")
    assert second.code is None


def test_subscribing_a_subscribed_user_again_is_an_error() -> None:
    world = World()
    client = world.subscribed("open:a")
    assert world.api("subscribe", user="42", channel="open:a")["error"]["code"] == 100
    assert client.take() == []


def test_a_subscription_by_the_server_may_recover_and_carry_data() -> None:
    world = World()
    client = world.connect()
    epoch = world.publish("rec:a")["epoch"]
    world.publish("rec:a")
    world.api("subscribe", user="42", channel="rec:a", data={"d": 1}, recover_since={"offset": 1, "epoch": epoch})
    assert client.take() == [
        {
            "push": {
                "channel": "rec:a",
                "subscribe": {"recoverable": True, "positioned": True, "epoch": epoch, "offset": 1, "data": {"d": 1}},
            }
        }
    ]
    assert client.session.subscriptions["rec:a"].position.offset == 2


def test_a_broadcast_with_an_idempotency_key_publishes_once_per_channel() -> None:
    world = World()
    for _ in range(2):
        world.api("broadcast", channels=["open:a", "open:b"], data={}, idempotency_key="k")
    assert world.api("history", channel="open:a")["result"]["offset"] == 1
    assert world.api("history", channel="open:b")["result"]["offset"] == 1


def test_presence_shows_what_the_subscription_token_says() -> None:
    world = World()
    client = world.connect(info={"name": "Ann"})
    world.api("subscribe", user="42", channel="open:a", info={"role": "r"})
    assert world.api("presence", channel="open:a")["result"]["presence"][client.session.id] == {
        "user": "42",
        "client": client.session.id,
        "conn_info": {"name": "Ann"},
        "chan_info": {"role": "r"},
    }


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"expire_at": int(START) + 50, "info": {"n": 2}}, {"expires": True, "ttl": 50}),
        ({"expire_at": 0}, {}),
    ],
)
def test_refreshing_a_connection(body: dict[str, Any], shown: dict[str, Any]) -> None:
    world = World()
    client = world.connect(exp=START + 10)
    world.api("refresh", user="42", **body)
    assert client.take() == [{"push": {"refresh": shown}}]


def test_refreshing_into_the_past_ends_the_connection() -> None:
    world = World()
    client = world.connect()
    world.api("refresh", user="42", expire_at=int(START) - 1)
    assert client.session.ended == codes.CONNECTION_EXPIRED


def test_base64_data_must_be_json() -> None:
    world = World()
    client = world.subscribed("open:a")
    world.api("publish", channel="open:a", b64data="eyJuIjoxfQ==")
    assert client.take()[0]["push"]["pub"]["data"] == {"n": 1}
    for bad in ("bm9wZQ==", "?"):
        assert world.api("publish", channel="open:a", b64data=bad)["error"]["code"] == 107


def test_errors_may_set_the_http_status() -> None:
    world = World()
    for channel, status in [("nope:x", 404), ("", 400), ("open:a", 200)]:
        body = {"channel": channel, "data": 1}
        got, reply = api.execute(world.node, "publish", json.dumps(body).encode(), START, error_status=True)
        assert got == status
        assert ("code" in json.loads(reply)) == (status != 200)


def test_channels_by_pattern() -> None:
    world = World()
    world.subscribed("open:a")
    world.subscribed("plain:a")
    assert world.api("channels", pattern="op*") == {"result": {"channels": {"open:a": {"num_clients": 1}}}}


def test_a_pattern_that_is_none_is_an_error() -> None:
    assert World().api("channels", pattern="{a")["error"]["code"] == 100


def test_an_outdated_version_answers_with_the_newest_position() -> None:
    world = World()
    client = world.subscribed("open:a")
    first = world.publish("open:a", version=7, version_epoch="e", delta=True)
    assert world.publish("open:a", version=7, version_epoch="e") == first
    (reply,) = world.api("broadcast", channels=["open:a"], data={}, version=6, version_epoch="e")["result"]["responses"]
    assert reply["result"] == first
    assert world.publish("open:a", version=1, version_epoch="f")["offset"] == 2
    assert [message["push"]["pub"]["offset"] for message in client.take()] == [1, 2]


def test_null_in_a_request_is_like_nothing() -> None:
    world = World()
    client = world.connect()
    null_user = {"user": "42", "client": None, "session": None, "info": None, "override": None, "expire_at": None}
    assert world.api("subscribe", channel="open:a", **null_user) == {"result": {}}
    assert world.api("publish", channel="open:a", data=None, tags=None, idempotency_key=None)["result"]["offset"] == 1
    assert client.take()[-1]["push"]["pub"]["data"] is None
    assert world.api("history", channel="open:a", limit=None, since=None)["result"]["offset"] == 1
    assert world.api("publish", channel=None, data={})["error"]["code"] == 107
    assert api.execute(world.node, "publish", b"null", START)[0] == 200
    assert api.execute(world.node, "publish", b'{"channel": 5, "tags": null}', START)[0] == 400


def test_unsubscribing_tells_the_client_even_when_it_was_not_subscribed() -> None:
    world = World()
    client = world.connect()
    world.api("unsubscribe", user="42", channel="open:a")
    assert client.take()[0]["push"]["unsubscribe"]["code"] == 2000
