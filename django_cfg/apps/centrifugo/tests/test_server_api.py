from __future__ import annotations

import json

import pytest

from django_cfg.apps.centrifugo.server_api import (
    batch_body,
    channels_body,
    presence_body,
    publish_body,
    read_batch_answer,
    read_channels,
    read_presence,
    read_publish_answer,
)
from django_cfg.errors import PublishError


def test_bodies() -> None:
    assert json.loads(publish_body('a"\n', b'{"x":1}')) == {"channel": 'a"\n', "data": {"x": 1}}
    assert json.loads(batch_body([publish_body("a", b"1"), publish_body("b", b"2")])) == {
        "commands": [{"publish": {"channel": "a", "data": 1}}, {"publish": {"channel": "b", "data": 2}}]
    }


def test_success() -> None:
    read_publish_answer(200, b'{"result":{"offset":1,"epoch":"x"}}')
    assert read_batch_answer(200, b'{"replies":[{"publish":{}},{"publish":{}}]}', 2) == [None, None]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"", r"refused the API key: settings\.CENTRIFUGO\['api_key'\]"),
        (500, b"oops", "HTTP 500"),
        (200, b"<html>", r"settings\.CENTRIFUGO\['api_url'\]"),
        (200, b'{"error":{"code":102,"message":"unknown channel"}}', r"unknown channel \(error 102\)"),
        (200, b'{"error":{"code":107}}', r"no reason given \(error 107\)"),
    ],
)
def test_failures(status: int, body: bytes, message: str) -> None:
    with pytest.raises(PublishError, match=message):
        read_publish_answer(status, body)
    with pytest.raises(PublishError, match=message):
        read_batch_answer(status, body, 1)


def test_a_batch_fails_command_by_command() -> None:
    first, second = read_batch_answer(200, b'{"replies":[{"error":{"code":102,"message":"no"}},{"publish":{}}]}', 2)
    assert isinstance(first, PublishError)
    assert second is None


def test_a_batch_with_too_few_answers() -> None:
    with pytest.raises(PublishError, match="answered 1 of 2"):
        read_batch_answer(200, b'{"replies":[{}]}', 2)


def test_presence_and_channels() -> None:
    assert json.loads(presence_body("user#4")) == {"channel": "user#4"}
    assert json.loads(channels_body("user#*")) == {"pattern": "user#*"}
    assert read_presence(200, b'{"result":{"num_clients":3,"num_users":1}}') == 3
    assert read_channels(200, b'{"result":{"channels":{"user#4":{"num_clients":3}}}}') == ["user#4"]
    with pytest.raises(PublishError, match="not available"):
        read_presence(200, b'{"error":{"code":108,"message":"not available"}}')
