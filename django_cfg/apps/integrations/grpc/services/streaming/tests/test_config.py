from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    ConfigPresets,
    PingStrategy,
    StreamingMode,
)

PRESETS = ("PRODUCTION", "DEVELOPMENT", "TESTING", "HIGH_THROUGHPUT", "LOW_LATENCY")


def test_defaults() -> None:
    config = BidirectionalStreamingConfig()

    assert config.streaming_mode is StreamingMode.ANEXT
    assert config.ping_strategy is PingStrategy.INTERVAL
    assert (config.ping_interval, config.get_effective_ping_timeout()) == (5.0, 30.0)
    assert (config.max_queue_size, config.queue_timeout, config.max_consecutive_errors) == (1000, 10.0, 3)
    assert config.is_ping_enabled()
    assert config.should_yield_event_loop()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_never_change(name: str) -> None:
    preset: BidirectionalStreamingConfig = getattr(ConfigPresets, name)

    assert BidirectionalStreamingConfig.model_validate(preset.model_dump()) == preset
    with pytest.raises(ValidationError):
        preset.ping_interval = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ping_interval": 5, "ping_timeout": 4}, "must not be less than ping_interval"),
        ({"ping_interval": 61}, "at most 60 s"),
        ({"ping_interval": 0}, "greater than 0"),
        ({"max_queue_size": 0}, "greater than 0"),
        ({"max_queue_size": 100_001}, "less than or equal to 100000"),
        ({"queue_timeout": 61}, "less than or equal to 60"),
        ({"connection_timeout": 3601}, "less than or equal to 3600"),
        ({"max_consecutive_errors": 101}, "less than or equal to 100"),
        ({"ping_intervall": 5}, "did you mean 'ping_interval'"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        BidirectionalStreamingConfig.model_validate(given)


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"max_queue_size": 0}, "greater than 0"),
        ({"max_que_size": 5}, "did you mean 'max_queue_size'"),
        ({"ping_interval": 100.0}, "must not be less than ping_interval"),
        ({"queue_timeout": "x"}, "valid number"),
    ],
)
def test_changes_of_a_preset_are_checked(update: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ConfigPresets.PRODUCTION.model_copy(update=update)


def test_a_changed_preset_is_what_the_constructor_would_make() -> None:
    changed = ConfigPresets.LOW_LATENCY.model_copy(update={"ping_strategy": "disabled", "max_queue_size": 7})

    assert changed.ping_strategy is PingStrategy.DISABLED
    assert not changed.is_ping_enabled()
    assert (changed.max_queue_size, changed.ping_timeout) == (7, 5.0)
    assert changed.model_fields_set == {"ping_interval", "ping_timeout", "max_queue_size", "ping_strategy"}
    assert ConfigPresets.PRODUCTION.model_copy() == ConfigPresets.PRODUCTION


def test_a_long_interval_is_no_matter_without_pings() -> None:
    config = BidirectionalStreamingConfig(ping_strategy=PingStrategy.DISABLED, ping_interval=120)

    assert not config.is_ping_enabled()


def test_the_configuration_can_be_imported_without_grpcio() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None; "
        "from django_cfg.apps.integrations.grpc.services.streaming import ConfigPresets, CommandResult, AgentStatus; "
        "print(ConfigPresets.PRODUCTION.ping_timeout)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "30.0", done.stderr
