"""Lets an RPC through to its handler once its caller is known and may call it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Never, TypeAlias
from weakref import WeakSet

import grpc

from django_cfg.apps.integrations.grpc.attempts import FailedAttempts, address_of
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.identity import Caller, Credentials, Refused, Role, admit, current_caller
from django_cfg.apps.integrations.grpc.in_flight import InFlight
from django_cfg.apps.integrations.grpc.places import Places
from django_cfg.apps.integrations.grpc.served import Served
from django_cfg.apps.integrations.grpc.server_metrics import count_refused
from django_cfg.apps.integrations.grpc.server_spans import traced
from django_cfg.apps.integrations.grpc.services.streaming.outgoing import Outgoing, current_outgoing
from django_cfg.apps.integrations.grpc.services.streaming.service import seen_services
from django_cfg.rpc.lanes import Lanes

__all__ = ["UNARY_LANES", "Admission"]

logger = logging.getLogger("django_cfg.grpc")

HEALTH = "/grpc.health.v1.Health/"
WATCH = f"{HEALTH}Watch"
REFLECTION = "/grpc.reflection."

ANSWERED = (("django-cfg-answered", "1"),)
"""With every answer of a unary method: what it says of its own calls is not what gRPC says of this one."""

FIRST_MESSAGE_SECONDS = 1.0
UNARY_LANES = 32
"""Database threads of unary methods: one is kept to the end of its call, which may be waiting for an agent."""
MOST_WATCHES = 100
"""Streams of `Health/Watch` at once, which need no credentials: more would take the places of agents."""
MOST_METHODS = 1000
"""Remembered, as a servicer may answer to any name that a caller makes up."""

Handler = Any
"""grpc.RpcMethodHandler: what it takes and returns is the servicer's business."""
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Run: TypeAlias = Callable[[Any, Any], Awaitable[Any]]


class Admission(grpc.aio.ServerInterceptor):
    """Owned by the server's event loop. What it wraps is a coroutine, so a stream costs no second generator."""

    def __init__(self, config: GRPCConfig, lanes: Lanes | None = None) -> None:
        self.unary = InFlight()
        self.served: Served = WeakSet()
        self._watches = InFlight()
        self._config = config
        self._lanes = lanes or Lanes(UNARY_LANES)
        self._failed = FailedAttempts()
        self._places = Places(config.max_agents)
        self._checked: dict[str, tuple[Handler, Handler]] = {}
        """By method: the servicer's handler, which is another object if somebody else answers, and what wraps it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or (method.startswith(HEALTH) and method != WATCH):
            return handler
        known, checked = self._checked.get(method, (None, None))
        if known is not handler:
            checked = self._bounded(handler) if method == WATCH else self._wrapped(handler, method)
            if len(self._checked) < MOST_METHODS:
                self._checked[method] = handler, checked
        return checked

    def _wrapped(self, handler: Handler, method: str) -> Handler:
        agents = handler.request_streaming and handler.response_streaming and not method.startswith(REFLECTION)
        role = Role.AGENT if agents else Role.SERVICE
        call, kind = _behavior(handler)
        run = _runner(call, method, responds_once=not handler.response_streaming)
        if role is not Role.AGENT:
            run = traced(run, method)
        if not handler.response_streaming:
            run = self._in_lane(run)
        outgoing = Outgoing(handler.response_serializer, self._config.max_message_bytes)

        async def admitted(request: Any, context: Context) -> Any:
            found = await self._admit(context, role)
            current_caller.set(found)
            if role is not Role.AGENT:
                context.set_trailing_metadata(ANSWERED)
                return await run(request, context)
            current_outgoing.set(outgoing)
            seen_services.set(self.served)
            agent_id = None if found is None else found.id
            if not self._places.take(agent_id):
                await _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many agents are connected", role)
            try:
                return await run(request, context)
            finally:
                self._places.give_back(agent_id)

        return _handler(kind, admitted, handler)

    def _bounded(self, watch: Handler) -> Handler:
        call, kind = _behavior(watch)
        run = _runner(call, WATCH, responds_once=False)

        async def bounded(request: Any, context: Context) -> Any:
            if self._watches.count >= MOST_WATCHES:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch the health of this server")
            with self._watches:
                return await run(request, context)

        return _handler(kind, bounded, watch)

    def _in_lane(self, run: Run) -> Run:
        """With a database connection of its own, unlike a stream, which would keep one for as long as it lasts."""
        lanes = self._lanes

        async def laned(request: Any, context: Context) -> Any:
            with self.unary, lanes.use():
                return await run(request, context)

        return laned

    async def _admit(self, context: Context, role: Role) -> Caller | None:
        """Ends the RPC with a status instead of returning when it may not go on."""
        if not self._config.checks_callers:
            return None
        address, now = address_of(context.peer()), time.monotonic()
        if wait := self._failed.retry_after(address, now):
            count_refused(grpc.StatusCode.RESOURCE_EXHAUSTED.name)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many failures; retry in {wait:.0f} s")
        found = admit(_credentials(context), role, self._config, time.time())
        if not isinstance(found, Refused):
            return found
        if found.guessed:
            self._failed.add(address, now)
        logger.warning("refused a call from %s: %s", address, found.reason)
        code = grpc.StatusCode.PERMISSION_DENIED if found.known else grpc.StatusCode.UNAUTHENTICATED
        count_refused(code.name)
        return await _refuse(context, code, found.reason, role)


async def _refuse(context: Context, code: grpc.StatusCode, reason: str, role: Role) -> Never:
    """Reads an agent's first message before: who writes to a stream that has ended may not learn its status."""
    if role is Role.AGENT:
        with suppress(TimeoutError):
            await asyncio.wait_for(context.read(), FIRST_MESSAGE_SECONDS)
    await context.abort(code, reason)


def _credentials(context: Context) -> Credentials:
    metadata = dict(context.invocation_metadata() or ())
    scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
    verified = context.auth_context()
    names = [name for key in ("peer_dns", "peer_uri") for name in verified.get(key, ())]
    bearer_token = token.strip() if scheme.lower() == "bearer" else ""
    return Credentials(
        names=tuple(name.decode("ascii", "replace") for name in names),
        bearer_token=bearer_token,
        other_scheme=bool(scheme) and not bearer_token,
        api_key=str(metadata.get("x-api-key", "")),
    )


def _behavior(handler: Handler) -> tuple[Any, Any]:
    """The servicer's method, and the function that makes a handler of the same kind."""
    if handler.request_streaming and handler.response_streaming:
        return handler.stream_stream, grpc.stream_stream_rpc_method_handler
    if handler.request_streaming:
        return handler.stream_unary, grpc.stream_unary_rpc_method_handler
    if handler.response_streaming:
        return handler.unary_stream, grpc.unary_stream_rpc_method_handler
    return handler.unary_unary, grpc.unary_unary_rpc_method_handler


def _handler(kind: Any, run: Run, like: Handler) -> Handler:
    return kind(run, request_deserializer=like.request_deserializer, response_serializer=like.response_serializer)


def _runner(call: Any, method: str, *, responds_once: bool) -> Run:
    if inspect.iscoroutinefunction(call):
        run: Run = call
        return run if responds_once else _answering(run)
    if inspect.isasyncgenfunction(call) and not responds_once:
        return lambda request, context: _write_all(call(request, context), context)

    async def refuse(request: Any, context: Any) -> None:
        logger.error("%s is served by %r, which is not async: write `async def`", method, call)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method has no async handler")

    return refuse


def _answering(run: Run) -> Run:
    """A coroutine writes by itself; one that returns a generator, such as that of `handle_stream`, means to yield."""

    async def answer(request: Any, context: Any) -> None:
        responses = await run(request, context)
        if inspect.isasyncgen(responses):
            await _write_all(responses, context)

    return answer


async def _write_all(generator: AsyncGenerator[Any, Any], context: Any) -> None:
    async with aclosing(generator) as responses:
        async for response in responses:
            await context.write(response)
