from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
)
from django_cfg.apps.integrations.grpc.services.streaming.types import (
    is_valid_client_id_extractor,
    is_valid_message_processor,
    is_valid_ping_creator,
)


async def process(client_id: str, message: object, queue: object) -> None: ...


async def process_too_little(client_id: str) -> None: ...


def process_synchronously(client_id: str, message: object, queue: object) -> None: ...


async def extract_asynchronously(message: object) -> str:
    return ""


def extract(message: object) -> str:
    return ""


def create() -> object:
    return object()


class Processor:
    async def __call__(self, client_id: str, message: object, queue: object) -> None: ...


def test_processors() -> None:
    assert all(is_valid_message_processor(one) for one in (process, Processor(), AsyncMock()))
    wrong = (process_too_little, process_synchronously, None, "text")
    assert not any(is_valid_message_processor(one) for one in wrong)


def test_extractors() -> None:
    assert all(is_valid_client_id_extractor(one) for one in (str, extract, Mock()))
    assert not any(is_valid_client_id_extractor(one) for one in (extract_asynchronously, create, None))


def test_ping_creators() -> None:
    assert all(is_valid_ping_creator(one) for one in (object, create, Mock()))
    assert not any(is_valid_ping_creator(one) for one in (process, extract, None))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"message_processor": process_synchronously}, "message_processor must be async def"),
        ({"client_id_extractor": extract_asynchronously}, "client_id_extractor must be def"),
        ({"ping_message_creator": process}, "ping_message_creator must be def"),
        ({"on_connect": extract}, r"on_connect must be async def \(client_id\), not def extract\(message"),
        ({"on_connect": process}, r"on_connect must be async def \(client_id\), not async def process\("),
        ({"on_disconnect": extract}, "on_disconnect must be async def"),
        ({"on_error": process_synchronously}, r"on_error must be async def \(client_id, error\)"),
        ({"on_undelivered": process_synchronously}, "on_undelivered must be async def"),
        ({"command_id_of": extract_asynchronously}, "command_id_of must be def"),
        ({"outcome_of": extract_asynchronously}, r"outcome_of must be def \(message\) -> CommandReport"),
        ({"stamp_command": extract}, r"stamp_command must be def \(command, stamp\)"),
        ({"drain_message_creator": extract_asynchronously}, r"drain_message_creator must be def \(seconds\)"),
        ({"drain_message_creator": "text"}, "not 'text'"),
        ({"identity_of": extract_asynchronously}, r"identity_of must be def \(context\)"),
        ({"config": {"ping_interval": 1}}, "config must be a BidirectionalStreamingConfig, not dict"),
    ],
)
def test_a_service_refuses_what_it_could_not_call(wrong: dict[str, Any], told: str) -> None:
    good: dict[str, Any] = {
        "config": BidirectionalStreamingConfig(),
        "message_processor": process,
        "client_id_extractor": str,
        "ping_message_creator": create,
    }
    with pytest.raises(TypeError, match=told):
        BidirectionalStreamingService(**{**good, **wrong})


def decorated(*given: Any) -> Any:
    return noted(*given)


async def noted(*given: Any) -> None: ...


def test_what_may_return_a_coroutine_is_taken() -> None:
    def service(on_connect: Callable[[str], Awaitable[None]]) -> None:
        BidirectionalStreamingService(BidirectionalStreamingConfig(), process, str, create, on_connect=on_connect)

    service(lambda agent_id: noted(agent_id))
    service(wraps(noted)(decorated))
    service(AsyncMock())
