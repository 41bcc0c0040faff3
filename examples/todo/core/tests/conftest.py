from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django_cfg.apps.centrifugo.router import get_global_router
from django_cfg.apps.centrifugo.testing import Publication, captured_publications
from django_cfg.rpc.connection import Connection

Call = Callable[..., Any]


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def pushed() -> Iterator[list[Publication]]:
    """What would have gone to browsers."""
    with captured_publications() as sent:
        yield sent


@pytest.fixture
def call(pushed: list[Publication]) -> Call:
    """`call(user, method, **params)` as a client's call arrives, without the network."""

    def make(user: User, method: str, **params: Any) -> Any:
        handle = async_to_sync(get_global_router().handle_message)
        return handle(method, params, Connection(user_id=str(user.pk)))

    return make
