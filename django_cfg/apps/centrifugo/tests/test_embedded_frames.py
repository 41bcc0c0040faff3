"""Ten thousand frames, whole and damaged, through one server that lives on: nothing crashes, leaks or goes astray."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import msgspec

from django_cfg.apps.centrifugo.embedded import codes, commands
from django_cfg.apps.centrifugo.embedded.protocol import split_frame
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer

from .embedded_world import Client, World, sign

SEED = 20_261_121
FRAMES = 10_000
MOST_GROWTH_BYTES = 2 * 1024 * 1024
ACCEPTED = msgspec.json.decode(b'{"result": {}}', type=ProxyAnswer)
COMMANDS: list[dict[str, Any]] = [
    {"subscribe": {"channel": "open:a", "flag": 1}},
    {"subscribe": {"channel": "rec:a", "recover": True, "epoch": "x", "offset": 3}},
    {"subscribe": {"channel": "team:#victim"}},
    {"unsubscribe": {"channel": "open:a"}},
    {"publish": {"channel": "prox:a", "data": {"correlation_id": "x", "result": {"n": [1, 2, 3]}}}},
    {"publish": {"channel": "plain:bystander", "data": {"n": 1}}},
    {"rpc": {"method": "m", "data": {"text": "é\U0001f642"}}},
    {"history": {"channel": "open:a", "limit": 5, "reverse": True}},
    {"presence": {"channel": "open:a"}},
    {"refresh": {"token": sign(sub="42")}},
    {"ping": {}},
]


class Frames:
    """A stream of frames, the same for one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a seed, no secret

    def next(self) -> bytes:
        lines = [self._line() for _ in range(self._random.randint(1, 4))]
        frame = bytearray(b"\n".join(lines))
        for _ in range(self._random.choice([0, 0, 1, 3])):
            self._damage(frame)
        return bytes(frame)

    def _line(self) -> bytes:
        command = {"id": self._random.choice([1, 2, 7, 0, 2**33]), **self._random.choice(COMMANDS)}
        return json.dumps(command, ensure_ascii=self._random.random() < 0.5).encode()

    def _damage(self, frame: bytearray) -> None:
        place = self._random.randrange(len(frame) or 1)
        kind = self._random.randrange(4)
        if kind == 0:
            frame[place : place + 1] = bytes([self._random.randrange(256)])
        elif kind == 1:
            del frame[place : place + self._random.randrange(9)]
        elif kind == 2:
            frame[place:place] = frame[: self._random.randrange(9)]
        else:
            frame[place:place] = b"[" * self._random.choice([1, 60, 5000])


def test_ten_thousand_frames() -> None:
    world, frames = World(), Frames(SEED)
    bystander = world.subscribed("plain:bystander", "bystander")
    bystander.take()
    answered = ended = 0
    grown: list[int] = []
    tracemalloc.start()
    client = world.connect()
    for number in range(FRAMES):
        _execute(client, frames.next())
        answered += len(client.take())
        if client.session.ended is not None:
            ended += 1
            world.clients.remove(client)
            client = world.connect()
        if number % (FRAMES // 4) == FRAMES // 4 - 1:
            grown.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    assert bystander.take() == [], f"seed {SEED}"
    assert grown[-1] - grown[0] < MOST_GROWTH_BYTES, f"seed {SEED}: {grown}"
    assert answered > FRAMES // 4
    assert ended > FRAMES // 10


def _execute(client: Client, frame: bytes) -> None:
    for line in split_frame(frame):
        call = commands.execute(client.session, line, client.world.now)
        if call is not None:
            commands.answer(client.session, call, ACCEPTED, client.world.now)
    if client.session.ended is not None:
        client.session.close(codes.CONNECTION_CLOSED)
