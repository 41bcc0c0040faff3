"""`manage.py grpc_agents`: who is connected to the server."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.extra import require_grpc
from django_cfg.apps.integrations.grpc.services.commands.address import dialled_address, local_name
from django_cfg.apps.integrations.grpc.services.commands.order import checked_seconds
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.listening import parse_address

DEFAULT_TIMEOUT_SECONDS = 10.0
COLUMNS = {
    "agent": "agent_id",
    "service": "service",
    "since": "connected_at",
    "epoch": "epoch",
    "queued": "queue_depth",
    "pending": "pending_commands",
    "last ack": "last_ack_at",
    "peer": "peer",
}


class Command(BaseCommand):
    help = "Show the agents that are connected: since when, epoch, queue depth, last acknowledgement; as text or JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("addrport", nargs="?", default="", help="of the server (default: the settings)")
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument(
            "--timeout",
            type=float,
            default=DEFAULT_TIMEOUT_SECONDS,
            metavar="SECONDS",
            help=f"how long the server may take to answer (default: {DEFAULT_TIMEOUT_SECONDS:g})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            timeout_seconds = checked_seconds(options["timeout"])
        except ValueError as error:
            raise CommandError(f"--{error}") from error
        agents = self._asked(options["addrport"], timeout_seconds)
        if options["json"]:
            self.stdout.write(json.dumps(agents))
        elif agents:
            self.stdout.write("\n".join(_table(agents)))
        else:
            self.stdout.write("no agents are connected")

    def _asked(self, addrport: str, timeout_seconds: float) -> list[dict[str, Any]]:
        try:
            require_grpc()
            config = get_config()
            here = local_name(config)
            host, port = parse_address(addrport, here) if addrport else (here, config.port)
            return _list(config, dialled_address(host, port, config), timeout_seconds)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error


def _list(config: GRPCConfig, address: str, timeout_seconds: float) -> list[dict[str, Any]]:
    import grpc

    from django_cfg.apps.integrations.grpc.agents_view import list_agents

    try:
        return list_agents(config, address, timeout_seconds)
    except grpc.RpcError as error:
        raise CommandError(f"{address}: {error.code().name}: {error.details()}") from error


def _table(agents: list[dict[str, Any]]) -> list[str]:
    rows = [list(COLUMNS), *([_shown(agent.get(field)) for field in COLUMNS.values()] for agent in agents)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shown(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if text.isprintable() else ascii(text)
