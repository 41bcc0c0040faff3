from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django_cfg.apps.centrifugo.router import get_global_router
from django_cfg.rpc.connection import Connection

Call = Callable[..., Any]


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """What would have gone to browsers: user id, event, data."""
    sent: list[tuple[str, str, dict[str, Any]]] = []

    async def record(user_id: str, event: str, data: Any) -> None:
        sent.append((user_id, event, data.model_dump()))

    monkeypatch.setattr("core.centrifugo_handlers.apublish_to_user", record)
    return sent


@pytest.fixture
def call(pushed: list[tuple[str, str, dict[str, Any]]]) -> Call:
    """`call(user, method, **params)` as a client's call arrives, without the network."""

    def make(user: User, method: str, **params: Any) -> Any:
        handle = async_to_sync(get_global_router().handle_message)
        return handle(method, params, Connection(user_id=str(user.pk)))

    return make
