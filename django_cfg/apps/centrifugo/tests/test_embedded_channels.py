"""Names, permissions, origins and the configuration they come from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from django_cfg.apps.centrifugo.embedded.channels import ChannelRulebook
from django_cfg.apps.centrifugo.embedded.config import load_config, unimplemented_keys
from django_cfg.apps.centrifugo.embedded.durations import Seconds
from django_cfg.apps.centrifugo.embedded.go_regex import compile_go_regex
from django_cfg.apps.centrifugo.embedded.origins import origin_allowed
from django_cfg.errors import ConfigurationError

BASE: dict[str, Any] = json.loads((Path(__file__).parents[4] / "tests/vectors/centrifugo/config/base.json").read_text())


def rulebook(**channel: Any) -> ChannelRulebook:
    return ChannelRulebook(load_config({"channel": channel}))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^user#\d+$", "user#42", True),
        (r"^user#\d+$", "user#42\n", False),
        (r"^user#\d+$", "user#٤٢", False),
        (r"^[$]+$", "$$", True),
        (r"^[]$]$", "$", True),
        (r"^\$x$", "$x", True),
        (r"^a\z", "a", True),
        ("b", "abc", True),
    ],
)
def test_go_patterns_mean_what_they_mean_in_go(pattern: str, text: str, found: bool) -> None:
    assert (compile_go_regex(pattern).search(text) is not None) == found


@pytest.mark.parametrize(
    ("channel", "user", "allowed"),
    [
        ("team:#1", "1", True),
        ("team:#1,2", "2", True),
        ("team:#1,2", "1,2", False),
        ("team:x#1", "2", False),
        ("team:#1#2", "1", False),
        ("team:#1#2", "2", True),
        ("team:open", "1", False),
        ("$team:#1", "1", False),
    ],
)
def test_user_limited_channels(channel: str, user: str, allowed: bool) -> None:
    rules = rulebook(namespaces=[{"name": "team", "allow_user_limited_channels": True}])
    found = rules.rules(channel)
    assert found is not None
    assert rules.may_subscribe(channel, user, found.options) == allowed


def test_without_the_option_a_hash_means_nothing() -> None:
    rules = rulebook(namespaces=[{"name": "open", "allow_subscribe_for_client": True}])
    found = rules.rules("open:#1")
    assert found is not None
    assert rules.may_subscribe("open:#1", "2", found.options)
    assert not rules.may_subscribe("open:#1", "", found.options)


def test_names_are_ascii_unless_a_pattern_says_otherwise() -> None:
    rulebook(namespaces=[{"name": "c", "channel_regex": r"^c\z"}])  # which Python alone would refuse
    rules = rulebook(namespaces=[{"name": "a"}, {"name": "b", "channel_regex": "^é$"}])
    for channel, valid in [("a:x", True), ("a:é", False), ("b:é", True), ("b:x", False)]:
        found = rules.rules(channel)
        assert found is not None
        assert found.valid_name(channel) == valid


def test_an_unknown_namespace_has_no_rules() -> None:
    assert rulebook().rules("nope:x") is None
    assert rulebook().rules("plain") is not None


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("", "", True),
        ("https://app.example.test", "", True),
        ("https://APP.example.test", "", True),
        ("https://a.wild.test", "", True),
        ("https://evil.test", "", False),
        ("https://app.example.test.evil.test", "", False),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://127.0.0.1:9000", "127.0.0.1:8000", False),
        ("null", "", False),
    ],
)
def test_origins(origin: str, host: str, allowed: bool) -> None:
    assert origin_allowed(origin, host, ["https://app.example.test", "https://*.wild.test"]) == allowed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("5s", 5), ("1h30m", 5400), ("0", 0), ("-1s", -1), ("1.5s", 1.5), ("720h", 2592000)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Seconds.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "s", "5 s", "five", "5s!"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        Seconds.parse(text)


def test_every_key_of_the_transcripts_is_implemented() -> None:
    assert unimplemented_keys(BASE) == []
    load_config(BASE)


def test_keys_without_effect_are_named() -> None:
    data = copy.deepcopy(BASE)
    data["client"]["proxy"] = {"connect": {"enabled": True}}
    data["channel"]["namespaces"][0]["delta_publish"] = True
    data["engine"] = {"type": "redis", "redis": {"address": "redis://x"}}
    assert unimplemented_keys(data) == [
        "channel.namespaces.delta_publish",
        "client.proxy.connect.enabled",
        "engine.redis.address",
        "engine.type",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"client": {"concurrency": "many"}}, r"\$\.client\.concurrency"),
        ({"client": {"ping_interval": "5"}}, r"\$\.client\.ping_interval"),
        ({"channel": {"without_namespace": {"history_size": 5}}}, "history_size and history_ttl"),
        ({"channel": {"namespaces": [{"name": "x", "force_recovery": True}]}}, "'x': force_recovery"),
        ({"channel": {"without_namespace": {"publication_data_format": "xml"}}}, "publication_data_format"),
        ({"channel": {"without_namespace": {"channel_regex": "("}}}, "channel_regex"),
        ({"rpc": {"without_namespace": {"proxy_name": "nobody"}}}, "'nobody'"),
    ],
)
def test_configurations_that_cannot_work(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_config(data)
