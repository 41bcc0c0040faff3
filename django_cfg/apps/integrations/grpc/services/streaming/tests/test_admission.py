from __future__ import annotations

import pytest

from django_cfg.apps.integrations.grpc.services.streaming.admission import refusal_of


@pytest.mark.parametrize("claimed", ["a", "x" * 200, "Bot 7", "агент"])
@pytest.mark.parametrize("authenticated", [True, False])
def test_admitted(claimed: str, authenticated: bool) -> None:
    assert refusal_of(claimed, claimed if authenticated else None) is None


@pytest.mark.parametrize("claimed", ["", " ", None, 5, b"a", "x" * 201, "a\n", "a\x00", "a\u2028"])
def test_not_an_id(claimed: object) -> None:
    refusal = refusal_of(claimed, None)

    assert refusal is not None
    assert refusal.status == "INVALID_ARGUMENT"


@pytest.mark.parametrize("claimed", ["A", "a ", "b"])
def test_not_the_authenticated_one(claimed: str) -> None:
    refusal = refusal_of(claimed, "a")

    assert refusal is not None
    assert refusal.status == "PERMISSION_DENIED"
    assert claimed not in refusal.sentence.split()
