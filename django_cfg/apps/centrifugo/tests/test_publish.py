from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.test import override_settings
from pydantic import BaseModel, Field

from django_cfg.apps.centrifugo.publish import (
    apublish_to_channel,
    apublish_to_user,
    publish_to_channel,
    publish_to_user,
)
from django_cfg.apps.centrifugo.tests.api_stub import API_KEY, ApiStub, Respond, api_stub
from django_cfg.errors import PublishError
from django_cfg.rpc.publisher import Publisher, use_publisher

pytestmark = pytest.mark.usefixtures("development")


class Todo(BaseModel):
    todo_id: int = Field(serialization_alias="todoId")


class Recorder(Publisher):
    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[tuple[str, bytes, threading.Thread]] = []

    async def deliver(self, channel: str, data: bytes) -> None:
        self.delivered.append((channel, data, threading.current_thread()))


@pytest.fixture
def stub() -> Generator[ApiStub]:
    with api_stub() as stub, override_settings(CENTRIFUGO=stub.config()):
        yield stub


def test_over_http_from_synchronous_code(stub: ApiStub) -> None:
    publish_to_user(42, "todo.added", Todo(todo_id=1))
    publish_to_channel("data.stream.123", {"x": [1]})
    assert stub.published == [
        ("user#42", {"event": "todo.added", "data": {"todoId": 1}}),
        ("data.stream.123", {"x": [1]}),
    ]
    assert {(request.path, request.key) for request in stub.requests} == {("/api/publish", API_KEY)}


async def test_over_http_from_async_code(stub: ApiStub) -> None:
    await apublish_to_user("42", "todo.added", {"id": 1})
    await apublish_to_channel("news", Todo(todo_id=2))
    assert stub.published == [("user#42", {"event": "todo.added", "data": {"id": 1}}), ("news", {"todoId": 2})]


async def test_the_installed_publisher_is_the_short_way(stub: ApiStub) -> None:
    recorder, here = Recorder(), threading.current_thread()
    with use_publisher(recorder):
        await apublish_to_user("1", "a", None)
        await asyncio.to_thread(publish_to_user, "2", "b", None)
        await asyncio.to_thread(lambda: asyncio.run(apublish_to_channel("c", {})))
    assert recorder.delivered == [
        ("user#1", b'{"event":"a","data":null}', here),
        ("user#2", b'{"event":"b","data":null}', here),
        ("c", b"{}", here),
    ]
    assert stub.requests == []


async def test_synchronous_publishing_on_an_event_loop_names_the_twin(stub: ApiStub) -> None:
    with pytest.raises(SynchronousOnlyOperation, match="await apublish_to_user instead"):
        publish_to_user("42", "a", None)
    with pytest.raises(SynchronousOnlyOperation, match="await apublish_to_channel instead"):
        publish_to_channel("c", {})
    assert stub.requests == []


@pytest.mark.parametrize("user_id", ["", "1,2", "victim#1", "*"])
async def test_ids_that_could_reach_somebody_else(user_id: str, stub: ApiStub) -> None:
    with pytest.raises(ValueError, match="cannot be a user id"):
        await apublish_to_user(user_id, "a", None)
    assert stub.requests == []


@pytest.mark.parametrize("data", [float("nan"), object(), "\ud800", {"x": float("inf")}])
async def test_data_that_json_cannot_carry(data: Any, stub: ApiStub) -> None:
    with pytest.raises(PublishError):
        await apublish_to_channel("c", data)
    with pytest.raises(PublishError):
        await apublish_to_user("1", "a", data)
    assert stub.requests == []


def always(status: int, answer: bytes) -> Respond:
    def respond(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        return status, answer

    return respond


def test_failures_are_said(stub: ApiStub) -> None:
    stub.respond = always(401, b"")
    with pytest.raises(PublishError, match="API key"):
        publish_to_channel("c", {})
    stub.respond = always(200, b'{"error":{"code":107,"message":"bad request"}}')
    with pytest.raises(PublishError, match="bad request"):
        publish_to_channel("c", {})


def test_nobody_answers() -> None:
    with api_stub() as gone:
        config = gone.config()
    with override_settings(CENTRIFUGO=config), pytest.raises(PublishError, match="cannot be reached"):
        publish_to_user("42", "a", None)
