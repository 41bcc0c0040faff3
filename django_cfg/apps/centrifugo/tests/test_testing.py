from __future__ import annotations

import pytest
from pydantic import BaseModel

from django_cfg.apps.centrifugo.publish import (
    apublish_to_channel,
    apublish_to_user,
    publish_to_channel,
    publish_to_user,
)
from django_cfg.apps.centrifugo.testing import captured_publications
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.rpc.publisher import installed_publisher


class Changed(BaseModel):
    id: int


def test_synchronous_publications_are_kept_in_order() -> None:
    with captured_publications() as sent:
        publish_to_user(7, "tasks.changed", Changed(id=1))
        publish_to_channel("news", {"title": "Hello"})

    assert sent == [("user#7", {"event": "tasks.changed", "data": {"id": 1}}), ("news", {"title": "Hello"})]
    assert (sent[0].user_id, sent[0].event) == ("7", ("tasks.changed", {"id": 1}))
    assert sent[1].user_id is None
    assert installed_publisher() is None


async def test_those_of_async_code_are_kept_too() -> None:
    with captured_publications() as sent:
        await apublish_to_user("ann", "tasks.changed", Changed(id=1))
        await apublish_to_channel("news", {"title": "Hello"})

    assert [publication.channel for publication in sent] == ["user#ann", "news"]


def test_what_could_not_be_sent_is_not_kept() -> None:
    with captured_publications() as sent, pytest.raises(ValueError, match="no user id"):
        publish_to_user(None, "tasks.changed", {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    assert sent == []


def test_notifications_over_redis_go_to_whoever_is_online() -> None:
    client = WebSocketRPCClient(WebSocketRPCConfig(enabled=True, redis_url="memory://"))
    with captured_publications(online=[7]) as sent:
        answers = [
            client.call("send_notification", {"user_id": user, "type": "order", "title": "Sent", "message": "..."})
            for user in ("7", "8")
        ]
    client.close()

    assert [answer["delivered"] for answer in answers] == [True, False]
    assert [publication.user_id for publication in sent] == ["7"]
