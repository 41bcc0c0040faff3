"""One channel per server address and process, opened when first needed and used again; and one per event loop.

The synchronous one serves every thread, and event loops too: one that makes its first call, which may be its only one,
and all of a forked child, where grpc.aio hangs. It costs an event loop a thread for each call, so one that calls again
gets a channel of grpc.aio. A child leaves its parent's channels alone and opens its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

import grpc

from django_cfg.apps.integrations.grpc.channel_options import client_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import channel_credentials, service_metadata
from django_cfg.apps.integrations.grpc.services.commands.failures import (
    failure_of,
    never_sent,
    not_reached,
    stream_refused,
)
from django_cfg.apps.integrations.grpc.services.commands.forking import ForkGate
from django_cfg.apps.integrations.grpc.services.commands.retries import Retries

__all__ = ["Metadata", "Method", "ServerChannel", "Times", "channel_to"]

Metadata: TypeAlias = tuple[tuple[str, str], ...]


class Method(NamedTuple):
    """A unary method: the generated stub's class, and its name there."""

    stub_class: Callable[[grpc.Channel], Any]
    name: str


class Times(NamedTuple):
    """How long to wait for a connection where there is none, and for the answer."""

    connect_seconds: float
    call_seconds: float


_OPTIONS = {
    # Connections are otherwise shared between channels, and a child would write to its parent's socket.
    "grpc.use_local_subchannel_pool": 1,
    # Below connect_timeout, so that a call made after the server has come back finds it.
    "grpc.max_reconnect_backoff_ms": 1_000,
}

_AROUND_A_MESSAGE_BYTES = 64 * 1024
"""What an answer has beside the agent's own message, which may be as large as any message, and may stand there twice:
whole, and what it says.
"""

_PROBE = "/grpc.health.v1.Health/Check"
"""Asked before the first command of a connection, so that a command is not given to one that may never come.

grpcio's own way to wait for a connection leaves a thread inside gRPC for a while, during which nobody can fork safely.
"""
_WHY_SECONDS = 0.2
"""For the probe that waits for no connection and so is told what is wrong with the last attempt."""

_gate = ForkGate()
_lock = threading.Lock()
_channels: dict[str, ServerChannel] = {}
_inherited: list[dict[str, ServerChannel]] = []
"""What a child got from its parent; kept, because closing it is not safe there."""
_is_child = False
"""Whether this process was forked from one that had this module."""


def channel_to(address: str, config: GRPCConfig) -> ServerChannel:
    """The process's channel to that address; another configuration opens another."""
    with _lock:
        kept = _channels.get(address)
        if kept is None or (kept.config is not config and kept.config != config):
            kept = _channels[address] = ServerChannel(address, config)
        return kept


class Wire:
    """A channel of either kind, its stubs, and whether it has been seen to lead to a server."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.probe: Any = channel.unary_unary(_PROBE)
        self.connected = False
        self._stubs: dict[Callable[[grpc.Channel], Any], Any] = {}

    def bound(self, method: Method) -> Any:
        stub = self._stubs.get(method.stub_class)
        if stub is None:
            stub = self._stubs[method.stub_class] = method.stub_class(self.channel)
        return getattr(stub, method.name)

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection now. grpcio's public way to ask it of a synchronous channel starts a thread."""
        if hasattr(self.channel, "get_state"):
            return bool(self.channel.get_state() is grpc.ChannelConnectivity.READY)
        return bool(self.channel._channel.check_connectivity_state(False) == grpc.ChannelConnectivity.READY.value[0])

    def must_connect(self) -> bool:
        """A connection on which calls are under way needs no probe, for which it may have no stream left."""
        connected = self.connected or (_gate.calls > 0 and self.asked_ready())
        return not connected

    def asked_ready(self) -> bool:
        """As `is_ready`, where no call of the asker's is under way."""
        _gate.enter()
        try:
            return self.is_ready
        finally:
            _gate.leave()


class ServerChannel:
    """Unary calls to one server, from any thread and any event loop. All raise RPCError, never grpc.RpcError."""

    def __init__(self, address: str, config: GRPCConfig) -> None:
        self.address = address
        self.config = config
        self._shared = Wire(_open(address, config, grpc))
        self._own: dict[asyncio.AbstractEventLoop, Wire | None] = {}
        """By event loop; None for one that has made its first call."""
        self._ends: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        """What closes them; not kept by what it closes, so that a loop which nobody shuts down leaves no circle."""

    def call(self, method: Method, request: object, times: Times, more: Metadata = ()) -> Any:
        """The response; waits for a connection first, and once more where the call found none.

        `more` is metadata that goes with that of the service.
        """
        call, seconds, retries = self._shared.bound(method), times.call_seconds, Retries(time.monotonic())
        while True:
            if self._shared.must_connect():
                self._connect(times.connect_seconds)
            _gate.enter()
            try:
                metadata = service_metadata(self.config) + more
                response = call(request, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                pause, seconds = self._failed(self._shared, error, self._shared.is_ready, retries, times)
            else:
                self._shared.connected = True
                return response
            finally:
                _gate.leave()
            time.sleep(pause)

    async def acall(self, method: Method, request: object, times: Times, more: Metadata = ()) -> Any:
        """As `call`; cancelling it cancels the RPC."""
        loop = asyncio.get_running_loop()
        wire = self._wire_of(loop)
        run = _awaited if wire is self._shared else _run
        if wire is not self._shared and loop not in self._ends:
            self._ends[loop] = self._until_shutdown(loop, wire.channel)
            await anext(self._ends[loop])
        call, seconds, retries = wire.bound(method), times.call_seconds, Retries(time.monotonic())
        while True:
            if wire.must_connect():
                await self._aconnect(wire, run, times.connect_seconds)
            try:
                metadata = service_metadata(self.config) + more
                response = await run(call, request, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                pause, seconds = self._failed(wire, error, wire.asked_ready(), retries, times)
            else:
                wire.connected = True
                return response
            await asyncio.sleep(pause)

    def _wire_of(self, loop: asyncio.AbstractEventLoop) -> Wire:
        with _lock:
            if _is_child:
                return self._shared
            if loop not in self._own:
                for ended in [one for one in self._own if one.is_closed()]:
                    self._forget(ended)
                self._own[loop] = None
                return self._shared
            wire = self._own[loop]
            if wire is None:
                wire = self._own[loop] = Wire(_open(self.address, self.config, grpc.aio))
            return wire

    async def _until_shutdown(self, loop: asyncio.AbstractEventLoop, channel: Any) -> AsyncGenerator[None]:
        """asyncio.run ends the generators of its loop, and with this one the loop's channel."""
        try:
            yield
        finally:
            with _lock:
                self._forget(loop)
            await channel.close()

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        self._own.pop(loop, None)
        self._ends.pop(loop, None)

    def _failed(
        self, wire: Wire, error: grpc.RpcError, connected: bool, retries: Retries, times: Times
    ) -> tuple[float, float]:
        """After how many seconds to try again, and for how many; raises RPCError where that may not be."""
        refused = stream_refused(error)
        wire.connected = wire.connected and refused
        if refused:
            again = retries.after_refusal(time.monotonic(), times.call_seconds)
        else:
            unsent = never_sent(error, connected=connected)
            again = retries.after_no_connection(times.call_seconds) if unsent else None
        if again is None:
            raise failure_of(error, self.address, connected=connected) from error
        return again

    def _connect(self, seconds: float) -> None:
        _gate.enter()
        try:
            self._probe(seconds)
        finally:
            _gate.leave()
        self._shared.connected = True

    def _probe(self, seconds: float) -> None:
        try:
            self._shared.probe(b"", timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            if self._has_answered(self._shared, error):
                return
        else:
            return
        try:
            self._shared.probe(b"", timeout=_WHY_SECONDS)
        except grpc.RpcError as error:
            self._explain(self._shared, error, seconds)

    async def _aconnect(self, wire: Wire, run: Callable[..., Awaitable[Any]], seconds: float) -> None:
        await self._aprobe(wire, run, seconds)
        wire.connected = True

    async def _aprobe(self, wire: Wire, run: Callable[..., Awaitable[Any]], seconds: float) -> None:
        try:
            await run(wire.probe, b"", timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            if self._has_answered(wire, error):
                return
        else:
            return
        try:
            await run(wire.probe, b"", timeout=_WHY_SECONDS)
        except grpc.RpcError as error:
            self._explain(wire, error, seconds)

    def _has_answered(self, wire: Wire, error: Any) -> bool:
        """A refusal is an answer too; and where other calls take all streams, their connection is answer enough."""
        busy = _gate.calls > 1
        return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or (busy and wire.is_ready)

    def _explain(self, wire: Wire, error: Any, seconds: float) -> None:
        """Raises ServiceUnavailableError with what gRPC says of its last attempt to connect."""
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            why = "it accepts connections, but does not answer" if wire.is_ready else "it does not answer"
        elif never_sent(error, connected=False):
            why = error.details()
        else:
            return
        raise not_reached(self.address, f"not within {seconds:g} s: {why}") from error


async def _run(call: Any, request: object, **options: Any) -> Any:
    """Over the event loop's own channel."""
    _gate.enter()
    try:
        return await call(request, **options)
    finally:
        _gate.leave()


async def _awaited(call: Any, request: object, **options: Any) -> Any:
    """Over the process's channel: its future's callbacks come on gRPC's own threads."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def tell(_: object) -> None:
        _gate.leave()
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits
            loop.call_soon_threadsafe(wake)

    _gate.enter()
    try:
        future = call.future(request, **options)
    except BaseException:
        _gate.leave()
        raise
    future.add_done_callback(tell)
    try:
        await done
    except asyncio.CancelledError:
        future.cancel()
        raise
    return future.result()


def _open(address: str, config: GRPCConfig, kind: Any) -> Any:
    """`kind`: grpc or grpc.aio."""
    largest = {"grpc.max_receive_message_length": 2 * config.max_message_bytes + _AROUND_A_MESSAGE_BYTES}
    options = list((dict(client_options(config, address)) | _OPTIONS | largest).items())
    credentials = channel_credentials(config)
    if credentials is None:
        return kind.insecure_channel(address, options=options)
    return kind.secure_channel(address, credentials, options=options)


def _start_empty() -> None:
    global _lock, _channels, _is_child
    _inherited.append(_channels)
    _lock, _channels, _is_child = threading.Lock(), {}, True


os.register_at_fork(after_in_child=_start_empty)
