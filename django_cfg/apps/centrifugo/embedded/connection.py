"""The WebSocket edge of one session: reads frames, asks the backend, writes what the session queues."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest

from . import codes, commands
from .backend import FAILED, ProxyBackend
from .codes import Disconnect
from .commands import ProxiedCall
from .node import Node
from .protocol import split_frame
from .session import Session

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_REASON_BYTES = 123


class Connection:
    """One accepted WebSocket."""

    def __init__(self, node: Node, backend: ProxyBackend, receive: Receive, send: Send) -> None:
        self._backend = backend
        self._receive = receive
        self._send = send
        self._config = node.config
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(max(node.config.client.concurrency, 1))
        self.session = Session(node, self._changed.set, time.time())

    async def run(self) -> None:
        """Until either side has closed."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write(drop=reader.cancel))
        try:
            await asyncio.wait([reader])
            if not reader.cancelled():
                reader.result()
        finally:
            self.session.close(codes.CONNECTION_CLOSED)
            reader.cancel()
            writer.cancel()
            if self._timer is not None:
                self._timer.cancel()
            for call in self._calls:
                call.cancel()

    async def _read(self) -> None:
        limit = self._config.websocket.message_size_limit
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            frame: bytes = message["bytes"] if text is None else text.encode()
            if 0 < limit < len(frame):
                self.session.close(codes.FRAME_TOO_BIG)
            else:
                await self._execute_or_end(frame)

    async def _execute_or_end(self, frame: bytes) -> None:
        try:
            await self._execute(frame)
        except Exception:
            logger.exception("a client's frame of %s bytes could not be executed", len(frame))
            self.session.close(codes.SERVER_ERROR)

    async def _execute(self, frame: bytes) -> None:
        for line in split_frame(frame):
            call = commands.execute(self.session, line, time.time())
            if call is None:
                continue
            if self._config.client.concurrency > 1:
                await self._free.acquire()
                self._start(call)
            else:
                await self._ask(call)

    def _start(self, call: ProxiedCall) -> None:
        task = asyncio.create_task(self._ask(call))
        self._calls.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._free.release()

    async def _ask(self, call: ProxiedCall) -> None:
        answer = await ask_backend(self._backend, call)
        commands.answer(self.session, call, answer, time.time())

    async def _write(self, drop: Callable[[], object]) -> None:
        """Without a reason to tell, the connection is dropped: no close message is sent."""
        try:
            while self.session.ended is None:
                await self._changed.wait()
                self._changed.clear()
                await self._flush()
                self._arm()
            await self._flush()
            if self.session.ended is codes.CONNECTION_CLOSED:
                drop()
            else:
                await self._send(close_message(self.session.ended))
        except OSError:  # the client has gone; the reader hears of it, too
            return

    async def _flush(self) -> None:
        messages = self.session.outbox.take()
        if not messages:
            return
        try:
            async with asyncio.timeout(self._config.websocket.write_timeout or None):
                await self._send({"type": "websocket.send", "text": b"\n".join(messages).decode()})
        except TimeoutError:
            self.session.close(codes.WRITE_ERROR)
        except UnicodeDecodeError:
            logger.exception("a message is no text")
            self.session.close(codes.SERVER_ERROR)

    def _arm(self) -> None:
        deadline = self.session.deadline
        if deadline == self._armed_for:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = deadline
        if deadline is not None:
            delay = max(deadline - time.time(), 0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._armed_for = None
        self.session.tick(time.time())
        self._changed.set()


async def ask_backend(backend: ProxyBackend, call: ProxiedCall) -> ProxyAnswer:
    """The answer within the proxy's timeout, or FAILED."""
    try:
        async with asyncio.timeout(call.proxy.timeout):
            if isinstance(call.request, PublishProxyRequest):
                return await backend.publish(call.request, call.proxy)
            return await backend.rpc(call.request, call.proxy)
    except TimeoutError:
        logger.warning("the %s proxy took longer than %s s", call.kind, call.proxy.timeout)
    except Exception:
        logger.exception("the %s proxy failed", call.kind)
    return FAILED


def close_message(disconnect: Disconnect) -> Message:
    """A close that WebSocket allows: other codes than applications may send become 3503, long reasons are cut."""
    code, reason = disconnect.code, disconnect.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    if not (3000 <= code <= 4999 or disconnect is codes.FRAME_TOO_BIG):
        code, reason = codes.FORCE_DISCONNECT.code, codes.FORCE_DISCONNECT.reason
    return {"type": "websocket.close", "code": code, "reason": reason}
