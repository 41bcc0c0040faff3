"""The example's server and agents as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.grpc.project import Process, Project

EXAMPLES = "django_cfg.apps.integrations.grpc.services.commands.examples"
HANDLERS = f"from {EXAMPLES}.server import grpc_handlers\n"


class Fleet:
    """A Django project that serves the example's protocol; `server` is its process."""

    def __init__(self, directory: Path, **grpc: Any) -> None:
        self._directory = directory
        self.project = Project(directory)
        self.project.add_app("fleet", HANDLERS)
        self.project.configure(**grpc)

    @property
    def port(self) -> int:
        return self.project.port

    @contextmanager
    def serving(self) -> Iterator[Process]:
        with self.project.manage("rungrpc", "--noreload") as server:
            yield server.until_serving()

    @contextmanager
    def agent(self, agent_id: str = "bot-1", *options: str, address: str = "") -> Iterator[Process]:
        """Connected, if there is a server."""
        arguments = ("--id", agent_id, "--address", address or self.project.address, *options)
        process = Process(self._directory, arguments, f"{EXAMPLES}.agent")
        try:
            yield process
        finally:
            process.clean_up()
