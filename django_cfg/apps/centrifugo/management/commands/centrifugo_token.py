"""Print one connection token."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_cfg.apps.centrifugo.tokens import create_connection_token
from django_cfg.errors import ConfigurationError


class Command(BaseCommand):
    help = "Print a connection token (JWT) for a user id, and nothing else."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user_id", metavar="USER_ID")
        parser.add_argument("--ttl", type=int, metavar="SECONDS", help="lifetime (default: token_ttl_seconds)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(create_connection_token(options["user_id"], ttl_seconds=options["ttl"]))
        except (ValueError, ConfigurationError) as error:
            raise CommandError(str(error)) from error
