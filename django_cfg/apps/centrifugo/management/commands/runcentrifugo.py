"""`manage.py runcentrifugo`: the project, real-time included, in one process."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.embedded.backend import HttpBackend
from django_cfg.apps.centrifugo.embedded.config import load_config, unimplemented_keys
from django_cfg.apps.centrifugo.embedded.project import project_app
from django_cfg.apps.centrifugo.embedded.serve import serve
from django_cfg.apps.centrifugo.embedded.server import EmbeddedServer
from django_cfg.apps.centrifugo.local import Companion, LocalBackend
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.leaving import interrupt_once, leaving_soon
from django_cfg.rpc.listening import bind, parse_address
from django_cfg.rpc.reloading import is_child, supervise

DEFAULT_ADDRESS, DEFAULT_PORT = "127.0.0.1", 8000


class Command(BaseCommand):
    """Parses, prints, starts."""

    help = "Serve this project together with Centrifugo's client protocol and server API, in one process."

    def add_arguments(self, parser: CommandParser) -> None:
        """Address, config file, reloading, and who answers proxied calls."""
        parser.add_argument("addrport", nargs="?", default="", help="port, or address:port (default 127.0.0.1:8000)")
        parser.add_argument("--noreload", action="store_true", help="do not restart when a source file changes")
        parser.add_argument("--config", metavar="FILE", help="a Centrifugo v6 configuration (default: the settings)")
        parser.add_argument(
            "--external-worker", action="store_true", help="call the proxies of the configuration over HTTP"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restarts on source changes unless told not to."""
        if options["noreload"]:
            self.run(**options)
        else:
            self._run_and_reload(options)

    def _run_and_reload(self, options: dict[str, Any]) -> None:
        if not is_child():
            sys.exit(supervise())
        with leaving_soon():
            interrupt_once()
            try:
                autoreload.run_with_reloader(self.run, **options)
            finally:  # a terminal tells both processes that it is over, and the parent passes that on
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)

    def run(self, **options: Any) -> None:
        """Serves until stopped."""
        if not options["noreload"]:
            autoreload.raise_last_exception()
        try:
            given = options["addrport"]
            address, port = parse_address(given) if given else (DEFAULT_ADDRESS, DEFAULT_PORT)
            data = read_config(options["config"])
            backend = HttpBackend() if options["external_worker"] else LocalBackend(get_config(), companions())
            server = EmbeddedServer(load_config(data), backend, project_app())
            listener = bind(address, port)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        if missing := unimplemented_keys(data):
            self.stdout.write(f"Not implemented by the embedded server: {', '.join(missing)}")
        shown = f"[{address}]" if ":" in address else address
        url = f"http://{shown}:{listener.getsockname()[1]}/"
        self.stdout.write(f"Serving on {url} (stop with CONTROL-C)")
        if options["config"] is None and (note := api_note(get_config().api_url, url)):
            self.stdout.write(note)
        self.stdout.flush()
        serve(server, listener)


def api_note(api_url: str, url: str) -> str:
    """What to say when other processes of the project would publish somewhere else; else empty."""
    if urlsplit(api_url).port == urlsplit(url).port:
        return ""
    return f"Other processes publish to {api_url}; to reach this server set CENTRIFUGO['api_url'] = '{url}api'."


def read_config(path: str | None) -> dict[str, Any]:
    """The file's JSON, or what the project's settings say."""
    if path is None:
        from django_cfg.apps.centrifugo.server_config import build_server_config

        return build_server_config()
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"the configuration {path} is not a JSON object")
    return cast(dict[str, Any], data)


def companions() -> Sequence[Companion]:
    """A project that makes calls over Redis finds them answered here, too; raises ConfigurationError."""
    if not apps.is_installed("django_cfg.modules.django_rpc"):
        return ()
    from django_cfg.modules.django_rpc.management.companion import answering, config_to_answer

    config = config_to_answer()
    return () if config is None else (partial(answering, config),)
