"""Answer a real Centrifugo's proxy calls."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandError

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.serving import GracefulServer
from django_cfg.apps.centrifugo.worker import Worker
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.listening import bind

LAST_ANSWERS_SECONDS = 2
"""For HTTP answers that are being written when everything has been finished."""


class Command(BaseCommand):
    help = "Run the handlers for a real Centrifugo: answers its publish and RPC proxies and publishes the replies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8010)
        parser.add_argument("--processes", type=int, default=1, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] != 1:
            raise CommandError(
                "--processes: several processes need a shared store for claims, or a call could run twice. "
                "Use one process; it runs thousands of calls at once."
            )
        try:
            config = get_config()
            listener = bind(options["host"], options["port"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Answering Centrifugo at http://{options['host']}:{options['port']}/centrifugo/")
        self.stdout.write(f"Publishing replies to {config.api_url}")
        self.stdout.flush()
        serve(config, listener)


def serve(config: CentrifugoConfig, listener: socket.socket) -> None:
    """Blocks until SIGTERM or SIGINT."""
    worker = Worker(config)
    settings = uvicorn.Config(
        worker,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
    )
    GracefulServer(settings, worker.stop).run(sockets=[listener])
