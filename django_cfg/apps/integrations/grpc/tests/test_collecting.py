from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from django_cfg.apps.integrations.grpc.collecting import collect_less_often


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [((700, 10, 10), (10_000, 10, 10)), ((50_000, 5, 5), (50_000, 5, 5)), ((0, 10, 10), (0, 10, 10))],
    ids=["Python's own", "the project's", "never"],
)
def test_garbage_is_looked_for_less_often(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    collect_less_often()

    assert gc.get_threshold() == after
