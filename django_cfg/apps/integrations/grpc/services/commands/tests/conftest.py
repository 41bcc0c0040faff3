from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_cfg.apps.integrations.grpc.services.commands.registry import clear_registry
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving, served


@pytest.fixture(autouse=True)
def empty_registry() -> Iterator[None]:
    clear_registry()
    yield
    clear_registry()


@pytest.fixture
def serving(settings: Any) -> Iterator[Serving]:
    """With a connected agent `bot-1`; the settings lead to it."""
    with served() as serving:
        settings.GRPC = {"port": serving.port}
        serving.connect("bot-1")
        yield serving
