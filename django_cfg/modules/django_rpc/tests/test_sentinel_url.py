"""Addresses of Sentinels."""

from __future__ import annotations

import pytest

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.sentinel_url import SentinelURL, read_sentinel_url


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("sentinel://one/main", SentinelURL((("one", 26379),), "main")),
        ("sentinel://one:1,two:2/main/5", SentinelURL((("one", 1), ("two", 2)), "main", 5)),
        ("sentinel://[::1]:7/main", SentinelURL((("::1", 7),), "main")),
        (
            "sentinel://rpc:p%40ss@one,two/main/0?sentinel_username=watch&sentinel_password=w%2Fw",
            SentinelURL((("one", 26379), ("two", 26379)), "main", 0, "rpc", "p@ss", "watch", "w/w"),
        ),
    ],
)
def test_urls(url: str, read: SentinelURL) -> None:
    assert read_sentinel_url(url) == read
    assert WebSocketRPCConfig(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://one",
        "sentinel://one/",
        "sentinel:///main",
        "sentinel://one:secret/main",
        "sentinel://one,/main",
        "sentinel://one/main/zero",
        "sentinel://user:secret@one/main/1/2",
        "sentinel://one/main?db=2",
    ],
)
def test_what_cannot_be_read_is_told_without_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="sentinel://host:port,host:port/service/db") as caught:
        WebSocketRPCConfig(redis_url=url)
    assert "secret" not in str(caught.value)
    assert "password" not in repr(read_sentinel_url("sentinel://u:password@one/main"))
