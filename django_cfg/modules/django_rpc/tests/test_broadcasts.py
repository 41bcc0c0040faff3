"""What is published may be anything, and nobody waits for it: whoever hears it goes on hearing."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from django_cfg.errors import MalformedMessageError, PublishError
from django_cfg.models.websocket import BroadcastRequest
from django_cfg.modules.django_rpc.broadcasts import broadcast, deliver_published


class Nowhere:
    """Delivers nothing, for the reason that it is given."""

    def __init__(self, reason: Exception) -> None:
        self._reason = reason

    async def to_user(self, user_id: str, event: str, data: Any) -> int:
        raise self._reason

    async def to_room(self, room: str, event: str, data: Any) -> int:
        raise self._reason

    async def to_all(self, event: str, data: Any) -> int:
        raise self._reason


@pytest.mark.parametrize(
    "reason",
    [PublishError("refused"), ValueError("'a b' cannot be a user id"), MalformedMessageError("did not reach browsers")],
)
@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b'{"target":"user","user_id":"a b","event_type":"e","payload":{}}', "did not reach browsers"),
        (b'{"target":"all","event_type":"e","payload":{}}', "did not reach browsers"),
        (b'{"target":"nobody"}', "is no BroadcastRequest"),
        (b"\xff", "is no BroadcastRequest"),
        (b'{"target":"all","event_type":"e","payload":{"x":NaN}}', "is no BroadcastRequest"),
        (b'{"target":"all","event_type":"e","payload":{"x":[1e400]}}', "is no BroadcastRequest"),
    ],
)
async def test_a_broadcast_that_cannot_be_delivered_is_said_in_the_log(
    reason: Exception, message: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "django_cfg.rpc.redis"):
        await deliver_published(Nowhere(reason), message)

    assert said in caplog.text


async def test_whatever_breaks_in_a_delivery_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    await deliver_published(Nowhere(RuntimeError("boom")), b'{"target":"all","event_type":"e","payload":{}}')

    assert "RuntimeError: boom" in caplog.text


class Somewhere(Nowhere):
    """Delivers to users whatever they are."""

    def __init__(self) -> None:
        super().__init__(PublishError("refused"))
        self.reached: list[str] = []

    async def to_user(self, user_id: str, event: str, data: Any) -> int:
        self.reached.append(user_id)
        return 1


async def test_one_impossible_id_keeps_a_broadcast_from_all() -> None:
    """Or a second attempt, with the id put right, would reach the others twice."""
    delivery = Somewhere()
    given: dict[str, Any] = {"target": "users", "event_type": "e", "payload": {}}
    with pytest.raises(ValueError, match="'a b' cannot be a user id"):
        await broadcast(delivery, BroadcastRequest.model_validate({**given, "user_ids": ["1", "2", "a b"]}))
    assert delivery.reached == []

    assert await broadcast(delivery, BroadcastRequest.model_validate({**given, "user_ids": ["1", "2", "1"]})) == 2
    assert delivery.reached == ["1", "2"]
