"""What the commands that look at a stream have in common."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.modules.django_rpc.management.stream_command import read_config
from django_cfg.modules.django_rpc.protocol import Keys

__all__ = ["StreamChoiceCommand"]


class StreamChoiceCommand(BaseCommand):
    """The request stream, or the bridge stream with `--bridge`."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bridge", action="store_true", help="the bridge stream instead of the request stream")

    @contextmanager
    def opened(self, options: dict[str, Any]) -> Generator[tuple[Any, Keys]]:
        """A connection and the names; raises CommandError where Redis fails."""
        config = read_config()
        from django_cfg.modules.django_rpc.connecting import FAILURES, Redis

        stream = config.bridge_stream if options["bridge"] else config.request_stream
        redis = Redis(config, 1)
        try:
            yield redis, Keys(stream, config.consumer_group, config.response_key_prefix)
        except FAILURES as error:
            raise CommandError(f"Redis failed: {error}") from error
        finally:
            redis.close()
