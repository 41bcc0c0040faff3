"""`manage.py rpc_call METHOD JSON`: one call from the shell."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.errors import ConfigurationError, RPCError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.conf import get_config


class Command(BaseCommand):
    help = "Make one call over Redis and print its result as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("method")
        parser.add_argument("params", nargs="?", default="{}", metavar="JSON", help="the parameters (default {})")
        parser.add_argument("--timeout", type=float, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            params = json.loads(options["params"])
        except ValueError as error:
            raise CommandError(f"the parameters are not valid JSON: {error}") from error
        try:
            client = WebSocketRPCClient(get_config())
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        try:
            result = client.call(options["method"], params, timeout=options["timeout"])
        except (RPCError, ValueError) as error:
            raise CommandError(f"{getattr(error, 'code', 'invalid')}: {error}") from error
        finally:
            client.close()
        self.stdout.write(json.dumps(result, indent=2, ensure_ascii=False))
