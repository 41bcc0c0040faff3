from __future__ import annotations

import json

import msgspec
import pytest

from django_cfg.apps.centrifugo import http_edge
from django_cfg.apps.centrifugo.tests.proxied import SECRET, Backend, native, publish_body
from django_cfg.errors import MalformedMessageError

LIMIT = 1000


def status(method: str = "POST", given: bytes = SECRET.encode(), secret: str = SECRET, length: str = "10") -> int:
    refusal = http_edge.check_request(method, given, secret, length, LIMIT)
    return 200 if refusal is None else refusal.status


def test_the_right_secret_passes() -> None:
    assert status() == 200
    assert status(given="sécret".encode(), secret="sécret") == 200


@pytest.mark.parametrize("given", [b"", b"x", SECRET.encode() + b" ", SECRET[:-1].encode(), b"\xff\xfe"])
def test_other_secrets_are_refused(given: bytes) -> None:
    assert status(given=given) == 403


def test_without_a_secret_of_our_own_nobody_passes() -> None:
    assert status(given=b"", secret="") == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "post", ""])
def test_only_post(method: str) -> None:
    assert status(method=method) == 405


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (str(LIMIT + http_edge.ENVELOPE_BYTES), 200),
        (str(LIMIT + http_edge.ENVELOPE_BYTES + 1), 413),
        ("9" * 5000, 413),
        ("", 200),
        ("-1", 200),
        ("many", 200),
        ("²", 200),
    ],
)
def test_the_length_in_the_head(length: str, expected: int) -> None:
    assert status(length=length) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"5", b"null", b'{"user":5}', b'{"user":null}', b"\xff", b'{"user":"\xff"}', b"[" * 100_000],
)
async def test_what_no_centrifugo_sends(body: bytes) -> None:
    backend = Backend()
    with pytest.raises(MalformedMessageError):
        await http_edge.answer_publish(backend.endpoint, body)
    with pytest.raises(MalformedMessageError):
        await http_edge.answer_rpc(backend.endpoint, body)


async def test_binary_data_is_refused_not_guessed() -> None:
    body = b'{"user":"42","channel":"rpc.requests","encoding":"binary","b64data":"e30="}'
    assert json.loads(await http_edge.answer_publish(Backend().endpoint, body))["error"]["code"] == 1004


async def test_bytes_in_bytes_out() -> None:
    backend = Backend()
    assert await http_edge.answer_publish(backend.endpoint, publish_body()) == b'{"result":{"skip_history":true}}'
    await backend.runner_idle()
    body = msgspec.json.encode(native())
    assert await http_edge.answer_rpc(backend.endpoint, body) == b'{"result":{"data":{"total":3}}}'
    assert [channel for channel, _ in backend.delivered] == ["user#42"]
