"""`manage.py rungrpc`: the server that agents connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.extra import require_grpc
from django_cfg.apps.integrations.grpc.reloading import run_with_reloader
from django_cfg.errors import ConfigurationError, RegistrationError
from django_cfg.rpc.listening import parse_address

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.running import Run
    from django_cfg.apps.integrations.grpc.services.discovery import RegisteredService

RELOAD_DRAIN_SECONDS = 2.0
"""Whoever edits code does not wait long for agents."""
EXIT_SECONDS = 5.0
"""Beyond draining."""


class Command(BaseCommand):
    """Parses, prints, starts."""

    help = "Serve the gRPC services of this project's apps, until SIGTERM or SIGINT; then drain and end with status 0."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("addrport", nargs="?", default="", help="port, or address:port (default: the settings)")
        parser.add_argument("--noreload", action="store_true", help="do not restart when a source file changes")
        parser.add_argument(
            "--health-addr", metavar="HOST:PORT", help="answer /livez, /readyz and /metrics here (default: off)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = self._prepared(options["addrport"], options["health_addr"], reload=not options["noreload"])
        if options["noreload"]:
            self._serve(run)
        else:
            run_with_reloader(run.serve, run.stop, RELOAD_DRAIN_SECONDS + EXIT_SECONDS)

    def _prepared(self, addrport: str, health_addr: str | None, *, reload: bool) -> Run:
        try:
            require_grpc()
            config = get_config()
            host, port = parse_address(addrport, config.host) if addrport else (config.host, config.port)
            health = parse_address(health_addr) if health_addr else None
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        if problem := config.exposure_problem(host, debug=settings.DEBUG):
            raise CommandError(problem)
        from django_cfg.apps.integrations.grpc.running import Plan, Run

        drain_seconds = min(config.drain_seconds, RELOAD_DRAIN_SECONDS) if reload else config.drain_seconds
        return Run(Plan(config, host, port, drain_seconds, health), self._say_ready)

    def _serve(self, run: Run) -> None:
        try:
            run.serve()
        except (ConfigurationError, RegistrationError) as error:
            raise CommandError(str(error)) from error

    def _say_ready(self, host: str, port: int, services: list[RegisteredService]) -> None:
        for service in services:
            self.stdout.write(f"{service.name}  ({service.source})")
        if not services:
            self.stdout.write("No grpc_handlers of an installed app has added a servicer: only health is served.")
        shown = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Serving on {shown}:{port} (stop with CONTROL-C)")
        self.stdout.flush()
