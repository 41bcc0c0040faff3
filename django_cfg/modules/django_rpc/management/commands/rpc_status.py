"""`manage.py rpc_status`: who serves, what waits, what runs, what has died."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, cast

from django.core.management.base import CommandParser

from django_cfg.modules.django_rpc.eviction import eviction_warning
from django_cfg.modules.django_rpc.management.stream_choice import StreamChoiceCommand


class Command(StreamChoiceCommand):
    help = "Show live servers, backlog, calls in flight, the oldest entry's age and dead letters; as text or JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        with self.opened(options) as (redis, keys):
            from django_cfg.modules.django_rpc.status import read_status

            facts = dataclasses.asdict(read_status(redis, keys))
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        for fact, value in facts.items():
            self.stdout.write(f"{fact.replace('_', ' '):<18}{_shown(value)}")
        if warning := eviction_warning(facts["maxmemory_policy"]):
            self.stdout.write(self.style.WARNING(f"warning: {warning}"))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        servers = cast("dict[str, int]", value)
        return ", ".join(f"{name} ({count} in flight)" for name, count in servers.items()) or "none"
    return f"{value:.1f}" if isinstance(value, float) else str(value) or "unknown"
