"""Generated proxy bodies through the HTTP edge: no crash, no delivery to anybody else, memory flat."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.http_edge import answer_publish, answer_rpc
from django_cfg.apps.centrifugo.tests.proxied import HEAD, Backend, envelope
from django_cfg.errors import MalformedMessageError, RPCErrorCode

SEED = 20_261_121
BODIES = 10_000
MOST_GROWTH_BYTES = 2 * 1024 * 1024
NUMBERS = {code.number for code in RPCErrorCode}

TEXTS = [
    "",
    "42",
    "add",
    "user#victim",
    "rpc.requests",
    "user#42",
    "c1",
    "é",
    "\x00",
    "\ud800",
    "a\nb",
    "x" * 300,
    "1,2",
]
SCALARS: list[Any] = [None, True, 0, -1, 1e308, 10**40, float("nan"), float("inf"), "text"]
USERS = [*["42"] * 20, "7", "", "1,2", "victim", "é", "x" * 65, 42, None]
METHODS = [*["add", "fail", "echo"] * 6, "", "no such", "user#victim", 5, None]
CHANNELS = ["rpc.requests"] * 25 + ["user#victim", "user#42", "", "other", 5]


class Bodies:
    """A stream of bodies, the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to repeat it, not to keep a secret

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 4 else 4)
        if kind < 2:
            return self.random.choice(SCALARS)
        if kind < 4:
            return self.random.choice(TEXTS)
        if kind < 6:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(TEXTS): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def some(self, usual: Any, *, often: float = 0.95) -> Any:
        return usual if self.random.random() < often else self.value()

    def data(self) -> Any:
        values = envelope(
            method=self.random.choice(METHODS),
            params=self.some({"a": self.random.randrange(100), "b": 1}),
            correlation_id=self.some(f"c{self.random.randrange(500)}"),
            reply_to=self.random.choice(["user#victim", "user#42", "", None, 5]),
            timeout_ms=self.some(5000),
        )
        for key in list(values):
            if self.random.random() < 0.05:
                del values[key]
        return self.some(values, often=0.9)

    def body(self) -> bytes:
        request = {
            **HEAD,
            "user": self.random.choice(USERS),
            "channel": self.random.choice(CHANNELS),
            "method": self.random.choice(METHODS),
            "data": self.data(),
            "meta": self.some({"role": "x"}),
        }
        body = json.dumps(self.some(request, often=0.95)).encode()
        return self.damaged(body) if self.random.random() < 0.15 else body

    def damaged(self, body: bytes) -> bytes:
        place = self.random.randrange(len(body) + 1)
        middle = self.random.choice([b"", bytes([self.random.randrange(256)]), b"[" * 5000, b'\\"', b"\xff\xfe"])
        return body[:place] + middle + body[place + self.random.randrange(3) :]


def make_backend() -> Backend:
    backend = Backend(CentrifugoConfig(max_request_bytes=100_000, max_reply_bytes=4096))

    @backend.router.register("fail")
    async def fail(conn: Any, params: Any) -> None:
        raise ValueError(f"not for {params}")

    @backend.router.register("echo")
    async def echo(conn: Any, params: Any) -> Any:
        assert fail is not echo
        return {"user": conn.user_id, "params": params}

    return backend


def user_of(body: bytes) -> str:
    user: str = json.loads(body.decode(errors="replace"))["user"]
    return user


def check_answer(answer: bytes) -> bool:
    """Whether the request was accepted; whatever it was, the answer is one that Centrifugo understands."""
    decoded = json.loads(answer)
    assert set(decoded) in ({"result"}, {"error"})
    if "error" in decoded:
        assert decoded["error"]["code"] in NUMBERS
        assert decoded["error"]["message"]
    return "result" in decoded


async def feed(backend: Backend, bodies: list[bytes]) -> int:
    """How many were accepted. A reply may only be on the channel of the user whom Centrifugo named in the same body."""
    accepted = 0
    for body in bodies:
        backend.delivered.clear()
        for answer in (answer_publish, answer_rpc):
            try:
                accepted += check_answer(await answer(backend.endpoint, body))
            except MalformedMessageError:
                continue
        await backend.runner_idle()
        for channel, message in backend.delivered:
            assert channel == f"user#{user_of(body)}"
            assert set(message) in ({"correlation_id", "result"}, {"correlation_id", "error"})
    return accepted


async def test_ten_thousand_bodies() -> None:
    print(f"seed {SEED}")  # noqa: T201 - to repeat a failure
    source, backend = Bodies(SEED), make_backend()
    accepted = await feed(backend, [source.body() for _ in range(BODIES // 2)])
    bodies = [source.body() for _ in range(BODIES // 2)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        accepted += await feed(backend, bodies)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert BODIES * 0.1 < accepted < BODIES * 1.9
    assert grown < MOST_GROWTH_BYTES
    assert backend.runner.in_flight == 0
