"""Whatever bytes arrive: an answer or a documented close, never an exception, and nothing for bystanders."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from django_cfg.apps.centrifugo.embedded import api, codes
from django_cfg.apps.centrifugo.embedded.codes import Disconnect
from django_cfg.apps.centrifugo.embedded.commands import ProxiedCall, execute
from django_cfg.apps.centrifugo.embedded.commands import answer as answer_call
from django_cfg.apps.centrifugo.embedded.connection import close_message
from django_cfg.apps.centrifugo.embedded.protocol import Command, split_frame
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer

from .embedded_world import START, World, sign

DOCUMENTED = {value.code for value in vars(codes).values() if isinstance(value, Disconnect)}
KINDS = [*Command.__struct_fields__[1:], "ping", "dance"]

channels = st.sampled_from(["open:a", "rec:a", "jl:a", "prox:a", "team:#42", "$open:a", "nope:a", "", "é", "a" * 300])
tokens = st.sampled_from(["", "x.y.z", sign(sub="42"), sign(sub="42", channel="open:a"), sign(sub="7", exp=START - 1)])
numbers = st.sampled_from([-1, 0, 1, 2, 2**31, 2**32, 2**64, 0.5]) | st.integers()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8) | channels | tokens,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.fixed_dictionaries(
    {},
    optional={"channel": channels, "token": tokens, "data": values, "recover": st.booleans(), "offset": numbers}
    | {"epoch": st.text(max_size=4), "limit": numbers, "reverse": st.booleans(), "method": st.text(max_size=8)}
    | {"since": st.fixed_dictionaries({}, optional={"offset": numbers, "epoch": st.text(max_size=3)}), "flag": numbers},
)
commands = st.dictionaries(st.sampled_from(KINDS), fields | values, max_size=2).flatmap(
    lambda body: st.fixed_dictionaries({"id": numbers | st.just(5)}).map(lambda head: {**head, **body})
)
lines = commands.map(lambda command: json.dumps(command).encode()) | st.binary(max_size=40) | st.just(b"{}")
frames = st.lists(lines, max_size=5).map(b"\n".join)
ANSWERS = st.sampled_from([b'{"result": {}}', b'{"error": {"code": 1}}', b'{"disconnect": {"code": 1}}', b"{}"])


def decode_answer(text: bytes) -> ProxyAnswer:
    return msgspec.json.decode(text, type=ProxyAnswer)


@settings(max_examples=500, deadline=None)
@given(sent=st.lists(frames, max_size=6), answer=ANSWERS)
def test_any_frames(sent: list[bytes], answer: bytes) -> None:
    world = World()
    bystander = world.subscribed("plain:bystander", "bystander")
    bystander.take()
    client = world.connect()
    for line in (line for frame in sent for line in split_frame(frame)):
        call = execute(client.session, line, world.now)
        assert call is None or isinstance(call, ProxiedCall)
        if call is not None:
            answer_call(client.session, call, decode_answer(answer), world.now)
    for message in client.take():
        assert "id" in message or "push" in message or message == {}
    if client.session.ended is not None:
        assert close_message(client.session.ended)["code"] in DOCUMENTED
    assert bystander.take() == []
    client.session.close(codes.CONNECTION_CLOSED)
    assert list(world.node.hub.channels) == ["plain:bystander"]
    assert list(world.node.users) == ["bystander"]


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(sorted(api.METHODS)), body=st.binary(max_size=60) | values.map(json.dumps).map(str.encode)
)
def test_any_api_body(method: str, body: bytes) -> None:
    status, reply = api.execute(World().node, method, body, START)
    assert status in (200, 400)
    if status == 200:
        answer: dict[str, Any] = json.loads(reply)
        assert len(answer) == 1
        assert set(answer) <= {"result", "error", "replies"}


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(sorted(api.METHODS)),
    body=st.fixed_dictionaries(
        {},
        optional={"channel": channels, "user": st.just("42"), "data": values, "limit": st.integers(-2, 5)}
        | {"channels": st.lists(channels, max_size=3), "expire_at": st.integers(-5, 2**70), "expired": st.booleans()}
        | {"tags": st.dictionaries(st.text(max_size=3), st.text(max_size=3)), "pattern": st.text(max_size=5)},
    ),
)
def test_any_sensible_api_call(method: str, body: dict[str, Any]) -> None:
    world = World()
    client = world.subscribed("open:a")
    status, reply = api.execute(world.node, method, json.dumps(body).encode(), START)
    assert status == 200, reply
    client.take()
    world.wait(3)
