"""One connection's life on a clock of our own: commands, timers, closes."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from django_cfg.apps.centrifugo.embedded import codes, commands
from django_cfg.apps.centrifugo.embedded.codes import Disconnect, ErrorReply
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, ProxyDisconnect, ProxyError, ProxyResult

from .embedded_world import START, World, sign

EXPIRING = {"ping_interval": "0s", "expired_sub_close_delay": "1s", "presence_update_interval": "1s"}


def error(command_id: int, code: ErrorReply) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": code.code, "message": code.message}
    return {"id": command_id, "error": {**shown, "temporary": True} if code.temporary else shown}


def test_connect_reply_names_the_connection_and_the_ping_interval() -> None:
    client = World().open()
    (reply,) = client.say({"id": 1, "connect": {"token": sign(sub="42")}})
    assert reply["connect"].pop("version")
    assert reply == {"id": 1, "connect": {"client": client.session.id, "ping": 25, "pong": True}}


def test_first_ping_comes_between_half_and_the_whole_interval_and_then_every_interval() -> None:
    world = World()
    client = world.connect()
    world.wait(18.7)
    assert client.take() == []
    world.wait(0.1)  # 25 s * (1 + 0.5) / 2, the world's random number being 0.5
    assert client.take() == [{}]
    client.say({})
    world.wait(24.9)
    assert client.take() == []
    world.wait(0.1)
    assert client.take() == [{}]


def test_an_unanswered_ping_ends_the_connection() -> None:
    world = World()
    client = world.connect()
    world.wait(18.75 + 7.9)
    assert client.code is None
    world.wait(0.2)
    assert client.session.ended == codes.NO_PONG


def test_a_second_answer_to_one_ping_is_a_protocol_error() -> None:
    world = World()
    client = world.connect()
    world.wait(19)
    client.say({})
    assert client.code is None
    client.say({})
    assert client.session.ended == codes.PROTOCOL_ERROR


def test_a_connection_that_never_connects_is_stale() -> None:
    world = World()
    client = world.open()
    world.wait(9.9)
    assert client.code is None
    world.wait(0.1)
    assert client.session.ended == codes.STALE


def test_after_a_refused_connect_nothing_is_answered_and_the_connection_ends() -> None:
    world = World()
    client = world.open()
    expired = {"id": 1, "connect": {"token": sign(sub="42", exp=int(START) - 1)}}
    assert client.say(expired, {"id": 2, "subscribe": {"channel": "plain:a"}}) == [error(1, codes.TOKEN_EXPIRED)]
    assert client.say({"id": 3, "connect": {"token": sign(sub="42")}}) == []
    world.wait(5)
    assert client.session.ended == codes.CONNECTION_CLOSED


def test_expiry_is_put_off_by_a_refresh() -> None:
    world = World(client={"expired_close_delay": "5s", "ping_interval": "0s"})
    client = world.connect(exp=START + 60)
    world.wait(10)
    assert client.say({"id": 2, "refresh": {"token": sign(sub="42", exp=START + 100)}}) == [
        {"id": 2, "refresh": {"expires": True, "ttl": 90}}
    ]
    world.wait(94)
    assert client.code is None
    world.wait(2)
    assert client.session.ended == codes.CONNECTION_EXPIRED


@pytest.mark.parametrize(("age", "ended"), [(64, None), (66, codes.CONNECTION_EXPIRED)])
def test_the_connection_ends_some_time_after_its_token(age: float, ended: Disconnect | None) -> None:
    world = World(client={"expired_close_delay": "5s", "ping_interval": "0s"})
    client = world.connect(exp=START + 60)
    world.wait(age)
    assert client.session.ended == ended


def test_a_refresh_token_with_other_server_side_channels_needs_a_new_connection() -> None:
    client = World().connect(exp=START + 60, channels=["plain:a"])
    client.say({"id": 2, "refresh": {"token": sign(sub="42", exp=START + 90, channels=["plain:b"])}})
    assert client.session.ended == codes.INSUFFICIENT_STATE


def test_a_token_for_ten_years_counts_for_one() -> None:
    client = World().open()
    (reply,) = client.say({"id": 1, "connect": {"token": sign(sub="42", exp=START + 10 * 365 * 86400)}})
    assert reply["connect"]["ttl"] == 365 * 86400


def test_a_subscription_token_expires_with_a_push_that_lets_the_client_come_back() -> None:
    world = World(client=EXPIRING)
    client = world.connect()
    token = sign(sub="42", channel="closed:a", exp=START + 10)
    assert client.say({"id": 2, "subscribe": {"channel": "closed:a", "token": token}}) == [
        {"id": 2, "subscribe": {"expires": True, "ttl": 10}}
    ]
    world.wait(11)
    assert client.take() == []
    world.wait(2)
    assert client.take() == [
        {"push": {"channel": "closed:a", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}}
    ]
    assert client.code is None


def test_a_server_side_subscription_that_expires_ends_the_connection() -> None:
    world = World(client=EXPIRING)
    client = world.connect()
    world.api("subscribe", user="42", channel="plain:a", expire_at=int(START) + 5)
    world.wait(8)
    assert client.session.ended == codes.SUBSCRIPTION_EXPIRED


def test_sub_refresh_puts_the_expiry_off() -> None:
    world = World(client=EXPIRING)
    client = world.connect()
    first = sign(sub="42", channel="closed:a", exp=START + 10)
    client.say({"id": 2, "subscribe": {"channel": "closed:a", "token": first}})
    world.wait(5)
    token = sign(sub="42", channel="closed:a", exp=START + 100)
    assert client.say({"id": 3, "sub_refresh": {"channel": "closed:a", "token": token}}) == [
        {"id": 3, "sub_refresh": {"expires": True, "ttl": 95}}
    ]
    world.wait(50)
    assert client.take() == []


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({"channel": ""}, codes.PROTOCOL_ERROR),
        ({"channel": "plain:none", "token": "x"}, codes.PERMISSION_DENIED),
        ({"channel": "plain:a"}, codes.BAD_REQUEST),
        ({"channel": "plain:a", "token": "x"}, codes.INVALID_TOKEN),
        ({"channel": "plain:a", "token": sign(sub="42", channel="plain:b")}, codes.INVALID_TOKEN),
        ({"channel": "plain:a", "token": sign(sub="43", channel="plain:a")}, codes.INVALID_TOKEN),
        ({"channel": "plain:a", "token": sign(sub="42", channel="plain:a", expire_at=1)}, codes.EXPIRED),
    ],
)
def test_sub_refresh_refused(request_: dict[str, Any], outcome: ErrorReply | Disconnect) -> None:
    client = World().subscribed("plain:a")
    replies = client.say({"id": 3, "sub_refresh": request_})
    if isinstance(outcome, Disconnect):
        assert (replies, client.session.ended) == ([], outcome)
    else:
        assert replies == [error(3, outcome)]


def test_an_expired_sub_refresh_does_not_prolong_the_subscription() -> None:
    world = World(client=EXPIRING)
    client = world.connect()
    first = sign(sub="42", channel="closed:a", exp=START + 3)
    client.say({"id": 2, "subscribe": {"channel": "closed:a", "token": first}})
    old = sign(sub="42", channel="closed:a", exp=START - 3)
    assert client.say({"id": 3, "sub_refresh": {"channel": "closed:a", "token": old}}) == [{"id": 3, "sub_refresh": {}}]
    world.wait(6)
    assert client.take()[0]["push"]["unsubscribe"]["code"] == 2501


def test_a_full_queue_ends_the_connection_and_is_not_kept() -> None:
    world = World(client={"queue_max_size": 300})
    client = world.subscribed("plain:a")
    world.publish("plain:a", {"x": "y" * 400})
    assert client.session.ended == codes.SLOW
    assert client.take() == []


def test_connections_of_one_user_are_limited() -> None:
    world = World(client={"user_connection_limit": 2})
    first, _ = world.connect(), world.connect()
    third = world.open()
    assert third.say({"id": 1, "connect": {"token": sign(sub="42")}}) == []
    assert third.session.ended == codes.CONNECTION_LIMIT
    first.session.close(codes.CONNECTION_CLOSED)
    world.connect()


def test_more_server_side_channels_than_allowed_end_the_connection() -> None:
    world = World(client={"channel_limit": 1})
    client = world.open()
    client.say({"id": 1, "connect": {"token": sign(sub="42", channels=["plain:a", "plain:b"])}})
    assert client.session.ended == codes.CHANNEL_LIMIT
    client = world.connect(channels=["plain:a"])
    world.api("subscribe", user="42", channel="plain:b")
    assert client.session.ended == codes.CHANNEL_LIMIT


def test_a_gap_in_the_positions_makes_the_client_subscribe_again() -> None:
    world = World(client={"ping_interval": "0s"})
    client = world.subscribed("rec:a")
    world.publish("rec:a")
    assert client.take()[0]["push"]["pub"]["offset"] == 1
    client.session.subscriptions["rec:a"].position = type(client.session.subscriptions["rec:a"].position)(7, "other")
    world.publish("rec:a")
    assert client.take() == [
        {"push": {"channel": "rec:a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}}
    ]


def test_a_lost_stream_is_noticed_without_a_publication() -> None:
    world = World(client={**EXPIRING, "channel_position_check_delay": "5s"})
    client = world.subscribed("rec:a")
    server_side = world.connect("43", channels=["rec:a"])
    world.node.hub.history("rec:a", world.now, 0.5)  # a shorter memory than the time between two checks
    world.wait(7)
    assert client.take()[0]["push"]["unsubscribe"]["code"] == 2500
    assert server_side.session.ended == codes.INSUFFICIENT_STATE


def test_join_and_leave_are_seen_by_those_who_are_there() -> None:
    world = World()
    ann = world.subscribed("jl:a", "ann")
    bob = world.subscribed("jl:a", "bob", info={"name": "Bob"})
    info = {"user": "bob", "client": bob.session.id, "conn_info": {"name": "Bob"}}
    assert ann.take()[-1] == {"push": {"channel": "jl:a", "join": {"info": info}}}
    bob.say({"id": 3, "unsubscribe": {"channel": "jl:a"}})
    assert ann.take() == [{"push": {"channel": "jl:a", "leave": {"info": info}}}]


def test_a_closed_connection_leaves_nothing_behind() -> None:
    world = World()
    client = world.subscribed("open:a")
    client.session.close(codes.CONNECTION_CLOSED)
    assert world.api("presence", channel="open:a") == {"result": {"presence": {}}}
    assert world.node.hub.channels == {}
    assert world.node.users == {}


def test_earlier_lines_of_a_frame_are_answered_when_a_later_one_is_bad() -> None:
    client = World().connect()
    commands.execute(client.session, b'{"id": 2, "subscribe": {"channel": "plain:a"}}', START)
    commands.execute(client.session, b"{nope", START)
    commands.execute(client.session, b'{"id": 3, "subscribe": {"channel": "plain:b"}}', START)
    assert client.take() == [{"id": 2, "subscribe": {}}]
    assert client.session.ended == codes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b"1",
        b"\xff\xfe",
        b'{"id": -1, "rpc": {}}',
        b'{"id": 4294967296, "rpc": {}}',
        b'{"id": "2"}',
        b'{"id": 2}',
        b'{"id": 2, "ping": {}}',
        b'{"id": 2, "rpc": 5}',
        b'{"id": 2, "rpc": {"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"id": 2, "rpc": {"data": ' + b"[" * 499 + b"]" * 499 + b"}}",
        b'{"id": 2, "publish": {}}',
        b'{"id": 2, "subscribe": {"channel": "\xc3\x28"}}',
    ],
)
def test_what_is_no_command_ends_the_connection(line: bytes) -> None:
    client = World().connect()
    assert commands.execute(client.session, line, START) is None
    assert (client.take(), client.session.ended) == ([], codes.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\udE00x"', "\ufffdx"),
        (rb'"\ud83d\uDE00"', "\U0001f600"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
    ],
)
def test_half_characters_do_not_end_the_connection(sent: bytes, stored: str) -> None:
    world = World()
    client = world.subscribed("open:a")
    commands.execute(client.session, b'{"id": 3, "publish": {"channel": "open:a", "data": ' + sent + b"}}", START)
    assert client.take()[0]["push"]["pub"]["data"] == stored


def test_a_binary_frame_must_be_utf_8() -> None:
    client = World().subscribed("open:a")
    commands.execute(client.session, b'{"id": 3, "publish": {"channel": "open:a", "data": "\xff"}}', START)
    assert (client.take(), client.session.ended) == ([], codes.PROTOCOL_ERROR)


def test_send_is_not_available() -> None:
    client = World().connect()
    client.say({"send": {"data": {}}})
    assert client.session.ended == codes.SEND_NOT_AVAILABLE


def test_recovery_of_what_was_missed() -> None:
    world = World()
    client = world.subscribed("rec:a")
    epoch = world.publish("rec:a")["epoch"]
    client.say({"id": 3, "unsubscribe": {"channel": "rec:a"}})
    world.publish("rec:a", {"n": 2})
    (reply,) = client.say({"id": 4, "subscribe": {"channel": "rec:a", "recover": True, "offset": 1, "epoch": epoch}})
    assert reply["subscribe"]["publications"] == [{"data": {"n": 2}, "offset": 2}]
    assert (reply["subscribe"]["recovered"], reply["subscribe"]["offset"]) == (True, 1)
    world.publish("rec:a", {"n": 3})
    assert [m["push"]["pub"]["offset"] for m in client.take()] == [3]


def test_a_client_may_refuse_a_subscription_with_a_gap() -> None:
    world = World()
    for _ in range(5):
        world.publish("rec:a")
    client = world.connect()
    asked = {"channel": "rec:a", "recover": True, "offset": 1, "flag": 2}
    assert client.say({"id": 2, "subscribe": asked}) == [error(2, codes.UNRECOVERABLE_POSITION)]
    assert client.session.subscriptions == {}
    assert world.node.hub.channels == {}


def test_cache_recovery_gives_the_newest_publication_unless_it_is_known() -> None:
    world = World()
    for n in (1, 2):
        epoch = world.publish("cache:a", {"n": n})["epoch"]
    (reply,) = world.connect().say({"id": 2, "subscribe": {"channel": "cache:a", "recover": True}})
    assert reply["subscribe"]["publications"] == [{"data": {"n": 2}, "offset": 2}]
    known = {"channel": "cache:a", "recover": True, "offset": 2, "epoch": epoch}
    (reply,) = world.connect().say({"id": 2, "subscribe": known})
    assert "publications" not in reply["subscribe"]
    assert reply["subscribe"]["recovered"] is True


def test_server_side_subscriptions_recover_at_connect() -> None:
    world = World()
    epoch = world.publish("rec:a")["epoch"]
    world.publish("rec:a", {"n": 2})
    asked = {"rec:a": {"recover": True, "offset": 1, "epoch": epoch}}
    (reply,) = world.open().say({"id": 1, "connect": {"token": sign(sub="42", channels=["rec:a"]), "subs": asked}})
    assert reply["connect"]["subs"]["rec:a"]["publications"] == [{"data": {"n": 2}, "offset": 2}]


def test_what_a_client_asks_for_at_connect_is_given_where_it_could_subscribe_itself() -> None:
    asked: dict[str, Any] = {"plain:a": {}, "closed:a": {}}
    (reply,) = World().open().say({"id": 1, "connect": {"token": sign(sub="42"), "subs": asked}})
    assert reply["connect"]["subs"] == {"plain:a": {}}


def test_recovery_and_positioning_only_on_request() -> None:
    client = World().connect()
    (plain,) = client.say({"id": 2, "subscribe": {"channel": "asked:a"}})
    assert plain == {"id": 2, "subscribe": {}}
    (asked,) = client.say({"id": 3, "subscribe": {"channel": "asked:b", "recoverable": True}})
    assert (asked["subscribe"]["recoverable"], asked["subscribe"]["positioned"]) == (True, True)
    (asked,) = client.say({"id": 4, "subscribe": {"channel": "asked:c", "positioned": True}})
    assert "recoverable" not in asked["subscribe"]


def test_personal_channels_are_subscribed_at_connect() -> None:
    personal = {"enabled": True, "personal_channel_namespace": "team"}
    world = World(client={"subscribe_to_user_personal_channel": personal})
    client = world.connect()
    assert list(client.session.subscriptions) == ["team:#42"]


def test_anonymous_connections_only_where_they_are_allowed() -> None:
    world = World(client={"allow_anonymous_connect_without_token": True})
    client = world.open()
    client.say({"id": 1, "connect": {}})
    assert client.session.authenticated
    assert client.say({"id": 2, "subscribe": {"channel": "plain:a"}}) == [error(2, codes.PERMISSION_DENIED)]


@pytest.mark.parametrize(
    ("answer", "reply", "code"),
    [
        (ProxyAnswer(result=ProxyResult(data=Raw(b"3"))), {"id": 2, "rpc": {"data": 3}}, None),
        (ProxyAnswer(), {"id": 2, "rpc": {}}, None),
        (ProxyAnswer(result=ProxyResult(b64data="Mw==")), {"id": 2, "rpc": {"data": 3}}, None),
        (ProxyAnswer(result=ProxyResult(b64data="bm8=")), error(2, codes.INTERNAL), None),
        (ProxyAnswer(error=ProxyError(1001, "no", True)), error(2, ErrorReply(1001, "no", True)), None),
        (ProxyAnswer(disconnect=ProxyDisconnect(4501, "banned")), None, 4501),
    ],
)
def test_the_backends_answer_to_a_call(answer: ProxyAnswer, reply: object, code: int | None) -> None:
    client = World().connect()
    assert client.ask({"id": 2, "rpc": {"method": "m"}}, answer) == ([reply] if reply else [])
    assert client.code == code


def test_an_accepted_publication_is_published_for_its_author() -> None:
    client = World().subscribed("prox:a")
    command = {"id": 3, "publish": {"channel": "prox:a", "data": {"n": 1}}}
    pushed, reply = client.ask(command, ProxyAnswer(result=ProxyResult()))
    info = {"user": "42", "client": client.session.id}
    assert pushed == {"push": {"channel": "prox:a", "pub": {"data": {"n": 1}, "info": info}}}
    assert reply == {"id": 3, "publish": {}}


def test_an_answer_after_the_end_is_dropped() -> None:
    world = World()
    client, other = world.connect(), world.subscribed("prox:a", "43")
    call = commands.execute(client.session, b'{"id": 3, "publish": {"channel": "prox:a", "data": {}}}', START)
    assert call is not None
    client.session.close(codes.CONNECTION_CLOSED)
    commands.answer(client.session, call, ProxyAnswer(result=ProxyResult()), START)
    assert other.take() == []


def test_rpc_ping_is_answered_without_a_backend() -> None:
    world = World(extra={"rpc": {"ping": {"enabled": True}}})
    assert world.connect().say({"id": 2, "rpc": {"method": "ping"}}) == [{"id": 2, "rpc": {}}]
    assert world.connect().say({"id": 2, "rpc": {"method": "other"}}) == [error(2, codes.METHOD_NOT_FOUND)]


def test_rpc_without_any_proxy_is_not_available() -> None:
    client = World(extra={"rpc": {}}).connect()
    assert client.say({"id": 2, "rpc": {"method": "x:y"}}) == [error(2, codes.NOT_AVAILABLE)]


def test_base64_wins_in_an_answer_and_loses_in_a_publication() -> None:
    client = World().subscribed("prox:a")
    both = ProxyAnswer(result=ProxyResult(data=Raw(b"1"), b64data="Mw=="))
    assert client.ask({"id": 3, "rpc": {"method": "m"}}, both) == [{"id": 3, "rpc": {"data": 3}}]
    pushed, _ = client.ask({"id": 4, "publish": {"channel": "prox:a", "data": {}}}, both)
    assert pushed["push"]["pub"]["data"] == 1


@pytest.mark.parametrize(
    ("asked", "reply", "code"),
    [
        ({"delta": "fossil"}, {"id": 2, "subscribe": {}}, None),
        ({"delta": "xdelta"}, None, 3501),
        ({"tf": {"op": "eq"}}, error(2, codes.BAD_REQUEST), None),
        ({"tf": None}, {"id": 2, "subscribe": {}}, None),
    ],
)
def test_deltas_and_tag_filters_are_not_granted(asked: dict[str, Any], reply: object, code: int | None) -> None:
    client = World().connect()
    assert client.say({"id": 2, "subscribe": {"channel": "plain:a", **asked}}) == ([reply] if reply else [])
    assert client.code == code


def test_at_connect_a_users_name_in_the_channel_is_one_way_among_two() -> None:
    both = {"name": "both", "allow_user_limited_channels": True, "allow_subscribe_for_client": True}
    channel = {"namespaces": [both, {"name": "team", "allow_user_limited_channels": True}]}
    world = World(client={"insecure": True}, extra={"channel": channel})
    asked: dict[str, Any] = {"both:#43": {}, "team:#42": {}, "team:#43": {}, "$both:x": {}}
    (reply,) = world.open().say({"id": 1, "connect": {"token": sign(sub="42"), "subs": asked}})
    assert sorted(reply["connect"]["subs"]) == ["both:#43", "team:#42"]


@pytest.mark.parametrize("rest", [b" {}", b'{"id": 3, "rpc": {}}', b" garbage", b"]", b" \xc3\xa9", b"\r"])
def test_what_follows_a_command_on_its_line_is_not_looked_at(rest: bytes) -> None:
    client = World().connect()
    command = '{"id": 2, "presence": {"channel": "open:\xe9"}}'.encode()
    assert commands.execute(client.session, command + rest, START) is None
    assert client.take() == [error(2, codes.BAD_REQUEST)]
