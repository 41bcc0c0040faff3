"""`manage.py grpc_token`: a signed token for an agent or a service."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.apps.integrations.grpc.tokens import DEFAULT_TTL_SECONDS, create_agent_token, create_service_token
from django_cfg.errors import ConfigurationError


class Command(BaseCommand):
    help = "Print a token that proves who an agent is, or with --service a service."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the agent's id, or the service's name")
        parser.add_argument("--service", action="store_true", help="for giving orders instead of taking them")
        parser.add_argument(
            "--ttl", type=int, default=DEFAULT_TTL_SECONDS, metavar="SECONDS", help="lifetime (default one hour)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        create = create_service_token if options["service"] else create_agent_token
        try:
            self.stdout.write(create(options["id"], ttl_seconds=options["ttl"]))
        except (ConfigurationError, ValueError) as error:
            raise CommandError(str(error)) from error
