"""Centrifugo's server API as a small HTTP server on a free port: records what comes, answers what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django_cfg.apps.centrifugo.config import CentrifugoConfig

API_KEY = "api-key-of-more-than-thirty-two-bytes-for-tests"

Respond = Callable[[str, dict[str, Any]], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    key: str
    body: dict[str, Any]


def accept(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    replies: list[dict[str, Any]] = [{"publish": {}} for _ in body.get("commands", [])]
    return 200, json.dumps({"replies": replies} if path.endswith("/batch") else {"result": {}}).encode()


class ApiStub:
    """`respond` decides every answer; it runs in the server's threads."""

    def __init__(self, port: int = 0, respond: Respond = accept) -> None:
        self.requests: list[Request] = []
        self.respond = respond
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append(Request(self.path, self.headers.get("X-API-Key", ""), body))
                status, answer = stub.respond(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the parent's name

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def published(self) -> list[tuple[str, Any]]:
        """Channel and data of every publication, in order."""
        commands = [c["publish"] for r in self.requests for c in r.body.get("commands", [{"publish": r.body}])]
        return [(command["channel"], command["data"]) for command in commands]

    def config(self, **changes: Any) -> CentrifugoConfig:
        url = f"http://127.0.0.1:{self.port}/api"
        values: dict[str, Any] = {"api_url": url, "api_key": API_KEY, "api_timeout_seconds": 5.0, **changes}
        return CentrifugoConfig(**values)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def api_stub(port: int = 0, respond: Respond = accept) -> Generator[ApiStub]:
    stub = ApiStub(port, respond)
    try:
        yield stub
    finally:
        stub.close()
