"""Push to users' browsers and to channels, from anywhere in the project.

In the process that serves the clients (`runcentrifugo`, `centrifugo_worker`) messages take its own way; everywhere else
they go through Centrifugo's server API. Inside a database transaction, publish in `transaction.on_commit`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import urllib3
from django.core.exceptions import SynchronousOnlyOperation

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.identity import UserId, user_channel
from django_cfg.apps.centrifugo.server_api import api_headers, publish_body, read_publish_answer
from django_cfg.errors import MalformedMessageError, PublishError
from django_cfg.rpc.publisher import installed_publisher
from django_cfg.rpc.running_loop import running_loop
from django_cfg.rpc.validation import dump_json

__all__ = ["apublish_to_channel", "apublish_to_user", "deliver", "publish_to_channel", "publish_to_user"]

_pool = urllib3.PoolManager(maxsize=16, retries=False)


def publish_to_user(user_id: UserId, event: str, data: Any) -> None:
    """Call the handlers of `on(event, ...)` in every open client of a user; `data` is a model or JSON-compatible.

    Nobody being there is no error. Raises PublishError, and ValueError for what is no user id.
    """
    _deliver_sync(user_channel(user_id), _encoded({"event": event, "data": data}), "apublish_to_user")


async def apublish_to_user(user_id: UserId, event: str, data: Any) -> None:
    """`publish_to_user` for async code."""
    await deliver(user_channel(user_id), _encoded({"event": event, "data": data}))


def publish_to_channel(channel: str, data: Any) -> None:
    """Reach the subscribers of `channel`; `data` is a model or a dict. Raises PublishError."""
    _deliver_sync(channel, _encoded(data), "apublish_to_channel")


async def apublish_to_channel(channel: str, data: Any) -> None:
    """`publish_to_channel` for async code."""
    await deliver(channel, _encoded(data))


async def deliver(channel: str, data: bytes) -> None:
    """`data` is JSON. Raises PublishError."""
    publisher = installed_publisher()
    if publisher is not None:
        await publisher.publish(channel, data)
    else:
        await asyncio.to_thread(_post, channel, data)


def _encoded(data: Any) -> bytes:
    try:
        return dump_json(data)
    except MalformedMessageError as error:
        raise PublishError(error.message) from error


def _deliver_sync(channel: str, data: bytes, async_twin: str) -> None:
    if running_loop() is not None:
        raise SynchronousOnlyOperation(f"this would block the event loop: await {async_twin} instead")
    publisher = installed_publisher()
    if publisher is not None:
        publisher.publish_sync(channel, data)
    else:
        _post(channel, data)


def _post(channel: str, data: bytes) -> None:
    config = get_config()
    try:
        response = _pool.request(
            "POST",
            f"{config.api_url}/publish",
            body=publish_body(channel, data),
            headers=api_headers(config.api_key),
            timeout=config.api_timeout_seconds,
        )
    except urllib3.exceptions.HTTPError as error:
        raise PublishError(f"Centrifugo's server API at {config.api_url} cannot be reached: {error}") from error
    read_publish_answer(response.status, response.data)
