"""`WebSocketRPCClient`: typed calls from plain blocking code, and their asynchronous twins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any, TypeVar, overload

from django.core.signals import setting_changed
from msgspec import UNSET
from msgspec.structs import replace
from pydantic import BaseModel

from django_cfg.errors import RPCConfigurationError, RPCError
from django_cfg.modules.django_rpc.attempt import Attempt
from django_cfg.modules.django_rpc.calls import AnyCall, AnyUser, Params, RPCCall, as_call, check_model, user_text
from django_cfg.modules.django_rpc.canonical import sort_sets
from django_cfg.modules.django_rpc.conf import get_config, signer_for
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import Outgoing, prepare
from django_cfg.modules.django_rpc.protocol import NO_DEADLINE_SECONDS
from django_cfg.modules.django_rpc.results import note_all, outgoings, read_result, read_results
from django_cfg.modules.django_rpc.signing import Signer
from django_cfg.modules.django_rpc.transport import Transport as CallTransport
from django_cfg.modules.django_rpc.transport import open_transport
from django_cfg.rpc import tracing
from django_cfg.rpc.blocking import warn_of_blocking
from django_cfg.rpc.inherited import within_call
from django_cfg.rpc.logs import about
from django_cfg.rpc.lossless import refuse_asterisks
from django_cfg.rpc.method import Transport
from django_cfg.rpc.running_loop import running_loop
from django_cfg.rpc.validation import dump_json

__all__ = ["RPCCall", "WebSocketRPCClient", "get_rpc_client"]

logger = logging.getLogger("django_cfg.rpc.redis")

_M = TypeVar("_M", bound=BaseModel)


class WebSocketRPCClient:
    """Safe to share between threads, event loops and forked processes; opens nothing before the first call.

    Timeouts are in seconds. Every failure of a call is an RPCError: RPCTimeoutError, RPCRemoteError (the server's
    answer), NoResponders, RPCOverloadedError, RPCConnectionError; pydantic's ValidationError for a result that does
    not fit `result_model`.
    """

    def __init__(self, config: WebSocketRPCConfig, transport: CallTransport | None = None) -> None:
        self._config = config
        self._transport = open_transport(config) if transport is None else transport

    @overload
    def call(
        self,
        method: str,
        params: Params = None,
        result_model: None = None,
        timeout: float | None = None,
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> Any: ...

    @overload
    def call(
        self,
        method: str,
        params: Params,
        result_model: type[_M],
        timeout: float | None = None,
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> _M: ...

    @overload
    def call(
        self,
        method: str,
        params: Params = None,
        *,
        result_model: type[_M],
        timeout: float | None = None,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> _M: ...

    def call(
        self,
        method: str,
        params: Params = None,
        result_model: type[BaseModel] | None = None,
        timeout: float | None = None,
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> Any:
        """The method's result. With an `idempotency_key` every attempt under that key, for a day, is the same call.

        With `as_user`, a primary key, the request is signed, and the handler's `conn.user_id` is that user. Without it
        the service itself calls. Raises ValueError for what is no user's id: a visitor who has not signed in has none.
        """
        check_model(result_model)
        if running_loop() is not None:
            warn_of_blocking(logger, method, "await acall there")
        with self._attempt(method, params, timeout, idempotency_key, as_user) as attempt:
            outcome = attempt.note(self._transport.call(attempt.outgoing))
        return read_result(attempt.outgoing, outcome, result_model)

    @overload
    async def acall(
        self,
        method: str,
        params: Params = None,
        result_model: None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - see below
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> Any: ...

    @overload
    async def acall(
        self,
        method: str,
        params: Params,
        result_model: type[_M],
        timeout: float | None = None,  # noqa: ASYNC109 - see below
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> _M: ...

    @overload
    async def acall(
        self,
        method: str,
        params: Params = None,
        *,
        result_model: type[_M],
        timeout: float | None = None,  # noqa: ASYNC109 - see below
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> _M: ...

    async def acall(
        self,
        method: str,
        params: Params = None,
        result_model: type[BaseModel] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server, which keeps it
        *,
        idempotency_key: str = "",
        as_user: AnyUser = UNSET,
    ) -> Any:
        """`call` for async code; cancelling it withdraws a request that no server has begun."""
        check_model(result_model)
        with self._attempt(method, params, timeout, idempotency_key, as_user) as attempt:
            (outcome,) = await self._transport.amany([attempt.outgoing])
            attempt.note(outcome)
        return read_result(attempt.outgoing, outcome, result_model)

    def call_many(self, calls: Iterable[AnyCall], timeout: float | None = None) -> list[Any]:
        """Results in the order of the calls; where one failed, its exception stands in the list."""
        made = [as_call(call) for call in calls]
        if made and running_loop() is not None:
            warn_of_blocking(logger, made[0].method, "await acall_many there")
        with ExitStack() as stack:
            attempts = self._attempts(stack, made, timeout)
            note_all(attempts, self._transport.many(outgoings(attempts)))
        return read_results(made, attempts)

    async def acall_many(
        self,
        calls: Iterable[AnyCall],
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server, which keeps it
    ) -> list[Any]:
        """`call_many` for async code."""
        made = [as_call(call) for call in calls]
        with ExitStack() as stack:
            attempts = self._attempts(stack, made, timeout)
            note_all(attempts, await self._transport.amany(outgoings(attempts)))
        return read_results(made, attempts)

    def fire_and_forget(self, method: str, params: Params = None, *, as_user: AnyUser = UNSET) -> str:
        """Queue a call whose result nobody waits for; the id of its stream entry."""
        if running_loop() is not None:
            warn_of_blocking(logger, method, "await asyncio.to_thread(client.fire_and_forget, ...) there")
        with self._observed(self._prepared(method, params, 0.0, "", as_user)) as attempt:
            return self._transport.send(attempt.outgoing)

    def broadcast(self, channel: str, message: BaseModel | Mapping[str, Any]) -> int:
        """Publish to the subscribers of a Redis channel; how many got it."""
        try:
            return self._transport.publish(channel, _dumped(message))
        except RPCError as error:
            error.called = "broadcast"
            raise

    def health_check(self, timeout: float = 5) -> bool:
        """Whether a live server answers within `timeout`; that Redis answers is not enough."""
        if timeout <= 0:
            return False  # as a probe says that has spent its time elsewhere
        try:
            with self._attempt("health", None, timeout) as attempt:
                attempt.note(self._transport.call(attempt.outgoing))
        except RPCError as error:
            extra = about(method="health", client=self._config.client_name)
            logger.info("health check failed: %s", error, extra=extra)
            return False
        return True

    def close(self) -> None:
        """Free connections and threads; a call made later opens them anew."""
        self._transport.close()

    def _attempt(
        self, method: str, params: Params, timeout: float | None, key: str = "", as_user: AnyUser = UNSET
    ) -> Attempt:
        return self._observed(self._prepared(method, params, self._seconds(timeout), key, as_user))

    def _seconds(self, timeout: float | None) -> float:
        seconds = self._config.rpc_timeout if timeout is None else timeout
        if not 0 < seconds <= NO_DEADLINE_SECONDS:
            raise ValueError(f"timeout must be greater than 0 and at most {NO_DEADLINE_SECONDS:g} s, not {seconds!r}")
        return within_call(float(seconds))

    def _attempts(self, stack: ExitStack, calls: Sequence[RPCCall], timeout: float | None) -> list[Attempt | RPCError]:
        """In the place of one that cannot be sent: why not."""
        attempts: list[Attempt | RPCError] = []
        for call in calls:
            try:
                attempts.append(stack.enter_context(self._attempt(call.method, call.params, timeout)))
            except RPCError as error:
                attempts.append(error)
        return attempts

    def _prepared(self, method: str, params: Params, seconds: float, key: str, as_user: AnyUser) -> Outgoing:
        user = user_text(as_user)
        signer = self._signer if user or self._config.signs else None
        try:
            return prepare(
                method,
                sort_sets(params, _dumped(params)) if key else _dumped(params),
                seconds,
                key,
                stream=self._config.request_stream,
                as_user=user,
                signer=signer,
            )
        except RPCError as error:
            error.called = method
            raise

    def _observed(self, outgoing: Outgoing) -> Attempt:
        span = tracing.start_client_span(outgoing.method, Transport.REDIS, outgoing.correlation_id)
        if span is not None:
            outgoing = replace(outgoing, traceparent=tracing.traceparent_of(span))
        return Attempt(self._config, outgoing, span)

    @cached_property
    def _signer(self) -> Signer:
        return signer_for(self._config, self._config.request_stream)


def _dumped(params: Params) -> bytes:
    if params is None:
        return b"{}"
    dumped = dump_json(params)
    refuse_asterisks(params, dumped)
    return dumped


_lock = threading.Lock()
_shared: list[WebSocketRPCClient] = []
"""The process's client, once it has been asked for."""


def get_rpc_client() -> WebSocketRPCClient:
    """The process's client, made from `settings.WEBSOCKET_RPC`; raises RPCConfigurationError unless it is enabled."""
    with _lock:
        if not _shared:
            _shared.append(_made_from_settings())
        return _shared[0]


def _made_from_settings() -> WebSocketRPCClient:
    config = get_config()
    if not config.enabled:
        raise RPCConfigurationError("RPC over Redis is off: set WEBSOCKET_RPC['enabled'] = True in the settings")
    return WebSocketRPCClient(config)


def _forget(*, setting: str, **_: Any) -> None:
    """Whoever keeps the client may go on using it: it opens everything anew."""
    if setting != "WEBSOCKET_RPC":
        return
    with _lock:
        forgotten = tuple(_shared)
        _shared.clear()
    for client in forgotten:
        client.close()


setting_changed.connect(_forget, dispatch_uid="django_cfg.django_rpc.client")
