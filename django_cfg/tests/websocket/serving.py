"""A server of the stream in a thread of the test's own process, and the methods that it answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.modules.django_rpc.builtin import served_router
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.server import ServerOptions, StreamServer
from django_cfg.rpc.router import MessageRouter

BOUND_SECONDS = 15.0
LONGEST_NAME = "a-b." + "x" * 124
"""What a router takes, and an older server would not."""


class EchoParams(BaseModel):
    message: str


class EchoResult(BaseModel):
    message: str
    length: int


class Insufficient(ValueError):
    """An error of the project's own."""


class Handlers:
    """What the methods have seen; `release` lets `held` calls end."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.conns: list[Any] = []
        self.release = threading.Event()
        self.client: Any = None
        """For `nested`."""

    def router(self) -> MessageRouter:
        router = MessageRouter()
        for name in ("typed", "boom", "wordy", "silent_failure", "nothing", "held", "effect", "nested", "own_timeout"):
            router.register_handler(name, getattr(self, name))
        router.register_handler("again", self.effect, idempotent=True)
        router.register_handler(LONGEST_NAME, self.effect)
        return router

    async def typed(self, conn: Any, params: EchoParams) -> EchoResult:
        self.conns.append(conn)
        assert isinstance(params, EchoParams)
        return EchoResult(message=params.message, length=len(params.message))

    async def boom(self, conn: Any, params: Any) -> Any:
        raise Insufficient("insufficient funds")

    async def wordy(self, conn: Any, params: Any) -> Any:
        raise Insufficient("x" * 2000)

    async def silent_failure(self, conn: Any, params: Any) -> Any:
        raise NotImplementedError

    async def nothing(self, conn: Any, params: Any) -> None:
        return None

    async def held(self, conn: Any, params: Any) -> Any:
        """Runs until it is released."""
        self.ran.append(str(params.get("name", "held")))
        while not self.release.is_set():  # noqa: ASYNC110 - it is released from another thread
            await asyncio.sleep(0.01)
        return params

    async def effect(self, conn: Any, params: Any) -> Any:
        self.conns.append(conn)
        self.ran.append(str(params.get("name", "effect")))
        return {"count": len(self.ran)}

    async def nested(self, conn: Any, params: Any) -> Any:
        """Calls another method, and lets its error pass."""
        return await self.client.acall(params["method"], timeout=params.get("timeout", 5))

    async def own_timeout(self, conn: Any, params: Any) -> Any:
        raise RPCError("the bank did not answer", code=RPCErrorCode.TIMEOUT, details={"bank": 1})


class Running:
    """`stop` is a SIGTERM's effect, and returns whether everything was answered."""

    def __init__(self, config: WebSocketRPCConfig, router: MessageRouter, options: ServerOptions) -> None:
        self._loop = asyncio.new_event_loop()
        self._started: Future[StreamServer] = Future()
        self._ended: Future[bool] = Future()
        self._thread = threading.Thread(target=self._run, args=(config, router, options), daemon=True)
        self._thread.start()
        self.server = self._started.result(BOUND_SECONDS)

    def tasks(self) -> int:
        """How many there are in the server's event loop."""
        return len(asyncio.all_tasks(self._loop))

    def stop(self) -> bool:
        self._loop.call_soon_threadsafe(self.server.stop)
        return self.wait()

    def wait(self) -> bool:
        ended = self._ended.result(BOUND_SECONDS * 2)
        self._thread.join(BOUND_SECONDS)
        return ended

    def _run(self, config: WebSocketRPCConfig, router: MessageRouter, options: ServerOptions) -> None:
        try:
            self._ended.set_result(self._loop.run_until_complete(self._serve(config, router, options)))
        except BaseException as error:  # noqa: BLE001 - it belongs to the test, which waits for it
            self._ended.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, config: WebSocketRPCConfig, router: MessageRouter, options: ServerOptions) -> bool:
        server = StreamServer(config, router, stream=config.request_stream, role="test", options=options)
        running = asyncio.create_task(server.run())
        await server.ready()
        self._started.set_result(server)
        return await running


@contextmanager
def serving(config: WebSocketRPCConfig, handlers: Handlers, **options: Any) -> Generator[Running]:
    """Serve while the block runs; it may stop the server itself."""
    running = Running(config, served_router(handlers.router()), ServerOptions(**options))
    try:
        yield running
    finally:
        handlers.release.set()
        if not running.server.stopped:
            running.stop()
