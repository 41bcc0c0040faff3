"""Print or write the config of a real Centrifugo."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_cfg.apps.centrifugo.server_config import build_server_config
from django_cfg.errors import ConfigurationError

OWNER_ONLY = 0o600


class Command(BaseCommand):
    help = "Write the JSON config of a Centrifugo v6 server that matches this project's settings."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-o", "--output", metavar="FILE", help="instead of standard output; holds secrets (mode 0600)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = json.dumps(build_server_config(), indent=2)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        if options["output"] is None:
            self.stdout.write(text)
        else:
            _write_private(Path(options["output"]), text + "\n")


def _write_private(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, OWNER_ONLY)  # the file may have been there, readable by others
            file.write(text)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
