from __future__ import annotations

import pytest

redis = pytest.importorskip("redis")

from django_cfg.modules.django_rpc.faults import shown  # noqa: E402 - after it is known that redis is there


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (redis.ConnectionError("Error 111 connecting"), "ConnectionError: Error 111 connecting"),
        (redis.ResponseError("NOPERM no rights"), "ResponseError: NOPERM no rights"),
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (TimeoutError(), "TimeoutError"),
        (redis.ResponseError("two\nlines"), r"ResponseError: two\nlines"),
    ],
)
def test_a_failure_has_its_class_and_its_text(error: Exception, text: str) -> None:
    assert shown(error) == text


def test_a_password_that_redis_quotes_is_not_shown() -> None:
    quoted = redis.ResponseError("unknown command 'AUTH', with args beginning with: 'ann' 'secret-1' ")

    assert shown(quoted) == "ResponseError: unknown command 'AUTH'"
