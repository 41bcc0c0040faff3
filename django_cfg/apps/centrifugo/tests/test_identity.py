from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_cfg.apps.centrifugo.identity import is_user_id, user_channel

ODD_IDS = ["", " ", "1,2", "1#2", "#", "*", "a:b", "a/b", "1\n", "\n1", "ä", "１", "x" * 65, "1 ", "a\x00", "$1", "а"]


@pytest.mark.parametrize("user_id", ["1", "user-123", "a.b@example.com", "x" * 64, "A_Z", "-", "."])
def test_ids_that_can_have_a_channel(user_id: str) -> None:
    assert is_user_id(user_id)
    assert user_channel(user_id) == f"user#{user_id}"


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_ids_that_cannot(user_id: str) -> None:
    assert not is_user_id(user_id)
    with pytest.raises(ValueError, match="cannot be a user id"):
        user_channel(user_id)


@pytest.mark.parametrize("value", [None, 1, b"1", ["1"]])
def test_only_text_is_an_id(value: object) -> None:
    assert not is_user_id(value)


@given(st.text(max_size=70))
def test_a_channel_belongs_to_exactly_one_user(user_id: str) -> None:
    if is_user_id(user_id):
        prefix, _, rest = user_channel(user_id).rpartition("#")
        assert (prefix, rest.split(",")) == ("user", [user_id])
