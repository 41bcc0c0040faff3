"""What both servers need of a process: an end in order and in time, with exit status 0."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from django_cfg.rpc.leaving import leave_at_next_interrupt, leave_soon

__all__ = ["GracefulServer"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulServer(uvicorn.Server):
    """Awaits `finish` when it is told to stop, while its connections still live.

    Unlike its parent it does not raise the signal again once everything has been finished, nor waits for threads.
    """

    def __init__(self, config: uvicorn.Config, finish: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._finish = finish
        self._signalled = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._finish()
        await super().shutdown(sockets)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets)
        if self._signalled:
            leave_soon(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._signalled = True
        super().handle_exit(sig, frame)
        leave_at_next_interrupt()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals; autoreload keeps it for itself
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
