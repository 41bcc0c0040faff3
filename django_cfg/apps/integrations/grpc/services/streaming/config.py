"""How a service treats the streams of its agents; can be imported without grpcio."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from django_cfg.typed_settings import TypedSettings

__all__ = ["BidirectionalStreamingConfig", "ConfigPresets", "PingStrategy", "StreamingMode"]

LONGEST_PING_INTERVAL_SECONDS = 60.0
PING_INTERVALS_TO_WAIT = 6


class StreamingMode(StrEnum):
    """Two spellings of one thing: messages are read one after the other, with the same timeouts."""

    ASYNC_FOR = "async_for"
    ANEXT = "anext"


class PingStrategy(StrEnum):
    """When an agent is asked for a sign of life."""

    INTERVAL = "interval"
    """Every `ping_interval` seconds, whatever else is sent."""
    ON_IDLE = "on_idle"
    """Once nothing has been sent for `ping_interval` seconds."""
    DISABLED = "disabled"
    """Never: silence is then no reason to end a stream."""


class BidirectionalStreamingConfig(TypedSettings):
    """All times are in seconds. One object may serve any number of services: it never changes."""

    streaming_mode: StreamingMode = Field(
        default=StreamingMode.ANEXT, description="Either spelling: messages are read one after the other."
    )
    ping_strategy: PingStrategy = Field(
        default=PingStrategy.INTERVAL,
        description="Ping at every interval, only after one in which nothing was sent, or never.",
    )
    ping_interval: float = Field(
        default=5.0, gt=0, le=300, description="Seconds between pings; at most 60 while pings are sent."
    )
    ping_timeout: float | None = Field(
        default=None, gt=0, le=600, description="Longest silence after a ping; six intervals if not given."
    )
    max_queue_size: int = Field(default=1000, gt=0, le=100_000, description="Commands that may wait for one agent.")
    queue_timeout: float | None = Field(
        default=10.0,
        gt=0,
        le=60,
        description="Longest wait for room in an agent's full queue; None waits as long as it takes.",
    )
    enable_sleep_zero: bool = Field(
        default=True, description="Let other agents have a turn after each message of one agent."
    )
    enable_centrifugo: bool = Field(
        default=True, description="Accepted and without effect: nothing is mirrored to Centrifugo."
    )
    enable_logging: bool = Field(
        default=True,
        description="Log streams that come and go; failures of the application's callbacks are always logged.",
    )
    logger_name: str | None = Field(
        default=None, min_length=1, max_length=100, description="Logger of the service; `django_cfg.grpc` if not given."
    )
    connection_timeout: float | None = Field(
        default=None, gt=0, le=3600, description="Longest life of one stream; the agent is then told to connect again."
    )
    max_consecutive_errors: int = Field(
        default=3,
        ge=0,
        le=100,
        description="Messages in a row that may fail before the stream is ended; 0 tolerates all.",
    )

    @model_validator(mode="after")
    def _check_pings(self) -> Self:
        if self.ping_timeout is not None and self.ping_timeout < self.ping_interval:
            raise ValueError(
                f"ping_timeout ({self.ping_timeout:g} s) must not be less than ping_interval ({self.ping_interval:g} s)"
            )
        if self.is_ping_enabled() and self.ping_interval > LONGEST_PING_INTERVAL_SECONDS:
            raise ValueError(f"ping_interval ({self.ping_interval:g} s) must be at most 60 s while pings are sent")
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """With those changes, checked as if it were made anew; pydantic's own form would take anything."""
        if not update:
            return super().model_copy(deep=deep)
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, **update})

    def is_ping_enabled(self) -> bool:
        return self.ping_strategy is not PingStrategy.DISABLED

    def should_yield_event_loop(self) -> bool:
        return self.enable_sleep_zero

    def get_effective_ping_timeout(self) -> float:
        """Seconds of silence after a ping that end a stream."""
        return self.ping_interval * PING_INTERVALS_TO_WAIT if self.ping_timeout is None else self.ping_timeout


class ConfigPresets:
    """Ready configurations; change one with `model_copy(update={...})`."""

    PRODUCTION: ClassVar = BidirectionalStreamingConfig(ping_timeout=30.0)
    DEVELOPMENT: ClassVar = BidirectionalStreamingConfig(
        streaming_mode=StreamingMode.ASYNC_FOR,
        ping_strategy=PingStrategy.ON_IDLE,
        ping_interval=10.0,
        ping_timeout=60.0,
        max_queue_size=100,
        enable_centrifugo=False,
        max_consecutive_errors=10,
    )
    TESTING: ClassVar = BidirectionalStreamingConfig(
        streaming_mode=StreamingMode.ASYNC_FOR,
        ping_strategy=PingStrategy.DISABLED,
        ping_interval=1.0,
        max_queue_size=10,
        enable_sleep_zero=False,
        enable_centrifugo=False,
        enable_logging=False,
        max_consecutive_errors=0,
    )
    HIGH_THROUGHPUT: ClassVar = BidirectionalStreamingConfig(
        streaming_mode=StreamingMode.ASYNC_FOR,
        ping_strategy=PingStrategy.ON_IDLE,
        ping_interval=30.0,
        ping_timeout=180.0,
        max_queue_size=10_000,
        enable_logging=False,
        max_consecutive_errors=10,
    )
    LOW_LATENCY: ClassVar = BidirectionalStreamingConfig(ping_interval=1.0, ping_timeout=5.0, max_queue_size=100)
