"""`WebSocketRPCClient`: typed calls from plain blocking code, and their asynchronous twins."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

from django.core.signals import setting_changed
from pydantic import BaseModel
from pydantic_core import from_json

from django_cfg.errors import RPCConfigurationError, RPCError, RPCErrorCode, RPCRemoteError, RPCTimeoutError
from django_cfg.modules.django_rpc.conf import get_config
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import Outgoing, prepare
from django_cfg.modules.django_rpc.redact import redacted
from django_cfg.modules.django_rpc.slots import Outcome
from django_cfg.modules.django_rpc.transport import Transport, open_transport
from django_cfg.rpc.call import Reply
from django_cfg.rpc.validation import dump_json

__all__ = ["RPCCall", "WebSocketRPCClient", "get_rpc_client"]

logger = logging.getLogger("django_cfg.rpc.redis")

_M = TypeVar("_M", bound=BaseModel)

Params: TypeAlias = BaseModel | Mapping[str, Any] | None


class RPCCall(NamedTuple):
    """One of several calls made at once; without `result_model` the result is plain JSON data."""

    method: str
    params: Params = None
    result_model: type[BaseModel] | None = None


AnyCall: TypeAlias = RPCCall | tuple[Any, ...] | Mapping[str, Any]


class WebSocketRPCClient:
    """Safe to share between threads, event loops and forked processes; opens nothing before the first call.

    Timeouts are in seconds. Every failure of a call is an RPCError: RPCTimeoutError, RPCRemoteError (the server's
    answer), NoResponders, RPCOverloadedError, RPCConnectionError; pydantic's ValidationError for a result that does
    not fit `result_model`.
    """

    def __init__(self, config: WebSocketRPCConfig, transport: Transport | None = None) -> None:
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
    ) -> _M: ...

    def call(
        self,
        method: str,
        params: Params = None,
        result_model: type[BaseModel] | None = None,
        timeout: float | None = None,
        *,
        idempotency_key: str = "",
    ) -> Any:
        """The method's result. With an `idempotency_key` every attempt under that key, for a day, is the same call."""
        outgoing = self._prepare(method, params, timeout, idempotency_key)
        started = time.monotonic()
        outcome: Outcome
        try:
            outcome = self._transport.call(outgoing)
        except RPCError as error:
            outcome = error
        self._log(outgoing, outcome, time.monotonic() - started)
        return _result(outgoing, outcome, result_model)

    async def acall(
        self,
        method: str,
        params: Params = None,
        result_model: type[BaseModel] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server, which keeps it
        *,
        idempotency_key: str = "",
    ) -> Any:
        """`call` for async code; cancelling it withdraws a request that no server has begun."""
        outgoing = self._prepare(method, params, timeout, idempotency_key)
        started = time.monotonic()
        (outcome,) = await self._transport.amany([outgoing])
        self._log(outgoing, outcome, time.monotonic() - started)
        return _result(outgoing, outcome, result_model)

    def call_many(self, calls: Iterable[AnyCall], timeout: float | None = None) -> list[Any]:
        """Results in the order of the calls; where one failed, its exception stands in the list."""
        made = [_as_call(call) for call in calls]
        outgoings = [self._prepare(call.method, call.params, timeout, "") for call in made]
        started = time.monotonic()
        outcomes = self._transport.many(outgoings)
        return self._results(made, outgoings, outcomes, time.monotonic() - started)

    async def acall_many(
        self,
        calls: Iterable[AnyCall],
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server, which keeps it
    ) -> list[Any]:
        """`call_many` for async code."""
        made = [_as_call(call) for call in calls]
        outgoings = [self._prepare(call.method, call.params, timeout, "") for call in made]
        started = time.monotonic()
        outcomes = await self._transport.amany(outgoings)
        return self._results(made, outgoings, outcomes, time.monotonic() - started)

    def fire_and_forget(self, method: str, params: Params = None) -> str:
        """Queue a call whose result nobody waits for; the id of its stream entry."""
        return self._transport.send(prepare(method, _dumped(params), 0))

    def broadcast(self, channel: str, message: BaseModel | Mapping[str, Any]) -> int:
        """Publish to the subscribers of a Redis channel; how many got it."""
        return self._transport.publish(channel, _dumped(message))

    def health_check(self, timeout: float = 5) -> bool:
        """Whether a live server answers within `timeout`; that Redis answers is not enough."""
        try:
            self._transport.call(self._prepare("health", None, timeout, ""))
        except RPCError as error:
            logger.info("health check failed: %s", error)
            return False
        return True

    def close(self) -> None:
        """Free connections and threads; a call made later opens them anew."""
        self._transport.close()

    def _prepare(self, method: str, params: Params, timeout: float | None, key: str) -> Outgoing:
        seconds = self._config.rpc_timeout if timeout is None else timeout
        if seconds <= 0:
            raise ValueError(f"timeout must be greater than 0 seconds, not {seconds!r}")
        return prepare(method, _dumped(params), float(seconds), key)

    def _results(
        self, calls: Sequence[RPCCall], outgoings: Sequence[Outgoing], outcomes: Sequence[Outcome], seconds: float
    ) -> list[Any]:
        results: list[Any] = []
        for call, outgoing, outcome in zip(calls, outgoings, outcomes, strict=True):
            self._log(outgoing, outcome, seconds)
            try:
                results.append(_result(outgoing, outcome, call.result_model))
            except (RPCError, ValueError) as error:  # pydantic's ValidationError is a ValueError
                results.append(error)
        return results

    def _log(self, outgoing: Outgoing, outcome: Outcome, seconds: float) -> None:
        if not self._config.log_rpc_calls:
            return
        error = outcome.error if isinstance(outcome, Reply) else outcome
        ended = "ok" if error is None else str(error.code)
        level = logging.getLevelNamesMapping()[self._config.log_level]
        params = redacted(outgoing.params)
        logger.log(level, "%s %s: %s in %.1f ms", outgoing.method, params, ended, seconds * 1000)


def _result(outgoing: Outgoing, outcome: Outcome, model: type[BaseModel] | None) -> Any:
    if isinstance(outcome, RPCError):
        raise outcome
    error = outcome.error
    if error is not None:
        if error.code == RPCErrorCode.TIMEOUT:
            raise RPCTimeoutError(
                f"no answer to {outgoing.method} within {outgoing.timeout_seconds:g} s: the server stopped it then",
                method=outgoing.method,
                timeout_seconds=outgoing.timeout_seconds,
                details={"state": "stopped"},
            )
        raise RPCRemoteError(error)
    raw = outcome.result or b"null"
    return from_json(raw) if model is None else model.model_validate_json(raw)


def _dumped(params: Params) -> bytes:
    return b"{}" if params is None else dump_json(params)


def _as_call(call: AnyCall) -> RPCCall:
    if isinstance(call, RPCCall):
        return call
    if isinstance(call, Mapping):
        return RPCCall(**call)
    return RPCCall(*call)


_lock = threading.Lock()


def get_rpc_client() -> WebSocketRPCClient:
    """The process's client, made from `settings.WEBSOCKET_RPC`; raises RPCConfigurationError unless it is enabled."""
    with _lock:
        return _shared_client()


@lru_cache(maxsize=1)
def _shared_client() -> WebSocketRPCClient:
    config = get_config()
    if not config.enabled:
        raise RPCConfigurationError("RPC over Redis is off: set WEBSOCKET_RPC['enabled'] = True in the settings")
    return WebSocketRPCClient(config)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "WEBSOCKET_RPC":
        _shared_client.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_cfg.django_rpc.client")
