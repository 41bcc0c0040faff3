from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from django_cfg.rpc.tests.routers import router

__all__ = ["router"]


@pytest.fixture
def development() -> Iterator[None]:
    """The settings of development: test runners turn DEBUG off, and with it the derived secrets."""
    with override_settings(DEBUG=True):
        yield
