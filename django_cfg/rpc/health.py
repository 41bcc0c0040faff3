"""`/livez`, `/readyz` and `/metrics` of a process that has no other HTTP: asked by probes and by Prometheus."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django_cfg.rpc import metrics
from django_cfg.rpc.logs import about

__all__ = ["Probes", "answer", "serving_health"]

logger = logging.getLogger("django_cfg.rpc")

LONGEST_HEAD = 8192
HEAD_SECONDS = 5.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Probes:
    """Each returns why not, or an empty text. `alive`: a restart would help; `ready`: calls may be sent here."""

    alive: Callable[[], str]
    ready: Callable[[], str]


def answer(request_line: str, probes: Probes) -> bytes:
    """The whole response to a request, of which nothing but its first line counts."""
    method, _, rest = request_line.partition(" ")
    status, body = _found(rest.partition(" ")[0].partition("?")[0], probes)
    if method not in ("GET", "HEAD"):
        status, body = "405 Method Not Allowed", b"GET only\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {TEXT}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if method == "HEAD" else body)


@asynccontextmanager
async def serving_health(listener: socket.socket, probes: Probes) -> AsyncGenerator[None]:
    """Answer on that socket meanwhile, in the running loop: one that is blocked answers nobody."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(head.partition(b"\r\n")[0].decode("latin-1"), probes))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("a health request was not finished: %r", error, extra=about())
        finally:
            writer.close()

    server = await asyncio.start_server(respond, sock=listener, limit=LONGEST_HEAD)
    try:
        yield
    finally:
        server.close()


def _found(path: str, probes: Probes) -> tuple[str, bytes]:
    if path == "/livez":
        return _probed(probes.alive())
    if path == "/readyz":
        return _probed(probes.ready())
    if path != "/metrics":
        return "404 Not Found", b"here are /livez, /readyz and /metrics\n"
    text = metrics.exposition()
    if text is None:
        return "501 Not Implemented", f"prometheus-client is not installed: {metrics.INSTALL_HINT}\n".encode()
    return "200 OK", text


def _probed(problem: str) -> tuple[str, bytes]:
    return ("503 Service Unavailable", f"{problem}\n".encode()) if problem else ("200 OK", b"ok\n")
