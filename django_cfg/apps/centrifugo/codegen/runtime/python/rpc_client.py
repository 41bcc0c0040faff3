"""The base client under the generated one: calls over Centrifugo, matched to their replies by correlation id or by its native RPC.

In this order: what a call can fail with, the pure decisions about a call, the handlers' queue, the client.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import math
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Literal, Self, cast

import centrifuge  # type: ignore[import-untyped, unused-ignore]

__all__ = ["CentrifugoRPCClient", "RPCError", "RPCErrorCode", "State", "Transport"]

Transport = Literal["publish", "rpc"]
State = Literal["connecting", "connected", "disconnected"]
Handler = Callable[[Any], object]

REQUEST_CHANNEL = "rpc.requests"
MAX_RESENDS = 3
MAX_REQUEST_BYTES = 262_144 - 1_024  # the server's limit is for the whole frame, which holds a little more than the request
MAX_QUEUED_EVENTS = 1_000

_sdk: Any = centrifuge  # it ships no types
_DIAL_FAILED = 2  # the SDK's error code for a socket that did not open
_REFUSED = frozenset({1, 101, 103, 109, 110, 3500, 3507})  # disconnect codes: the SDK's own, error replies, close codes
_log = logging.getLogger(__name__)


class RPCErrorCode(StrEnum):
    """Why a call failed; codes that a method declares itself are plain text beside these."""

    TIMEOUT = "timeout"
    METHOD_NOT_FOUND = "method_not_found"
    INVALID_PARAMS = "invalid_params"
    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    INTERNAL_ERROR = "internal_error"
    SERVICE_UNAVAILABLE = "service_unavailable"
    USER_NOT_CONNECTED = "user_not_connected"
    ROOM_NOT_FOUND = "room_not_found"
    RESOURCE_NOT_FOUND = "resource_not_found"
    CONNECTION_ERROR = "connection_error"
    REDIS_ERROR = "redis_error"
    PERMISSION_DENIED = "permission_denied"
    APPLICATION_ERROR = "application_error"
    CANCELLED = "cancelled"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CONTRACT_MISMATCH = "contract_mismatch"


_C = RPCErrorCode
_RETRYABLE = {_C.TIMEOUT, _C.RATE_LIMIT_EXCEEDED, _C.SERVICE_UNAVAILABLE, _C.CONNECTION_ERROR, _C.REDIS_ERROR}
_APPLICATION = dict(enumerate(RPCErrorCode, start=1001))  # the numbers under which Centrifugo carries these codes
_BUILT_IN = {
    **dict.fromkeys((101, 103), _C.PERMISSION_DENIED),
    **dict.fromkeys((106, 111), _C.RATE_LIMIT_EXCEEDED),
    **dict.fromkeys((109, 110), _C.UNAUTHORIZED),
    **{104: _C.METHOD_NOT_FOUND, 107: _C.VALIDATION_ERROR, 108: _C.SERVICE_UNAVAILABLE},
}


class RPCError(Exception):
    """A call that failed; `code` equals a member of RPCErrorCode or is a text of the method's own, `retry_after` is in seconds."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: dict[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)  # both, so that the error survives pickling
        self.code = RPCErrorCode(code) if code in list(RPCErrorCode) else code
        self.message = message or code.replace("_", " ")
        self.details = details
        self.retryable = code in _RETRYABLE if retryable is None else retryable
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


@dataclass(slots=True, eq=False)
class _Call:
    """A call in flight; `deadline` is in seconds of the event loop's clock."""

    request: dict[str, Any]
    deadline: float
    transport: Transport
    reply: asyncio.Future[Any]
    sends: int = 0
    accepted: bool = False
    timer: asyncio.TimerHandle | None = None

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    """The first outcome of a call or of an opening channel counts."""
    if future.done():
        return
    if isinstance(outcome, RPCError):
        future.set_exception(outcome)
        future.exception()  # nobody may be waiting any more, which asyncio would report
    else:
        future.set_result(outcome)


def _encode(request: Mapping[str, Any], limit_bytes: int) -> str:
    """JSON as the SDK sends it: ASCII, so its length is its size. Raises a `validation_error`."""
    try:
        text = json.dumps(request, allow_nan=False)  # NaN is no JSON: the server would end the connection
    except (TypeError, ValueError, RecursionError) as error:
        raise RPCError(_C.VALIDATION_ERROR, f"the parameters are not JSON: {error}") from error
    if len(text) > limit_bytes:
        raise RPCError(_C.VALIDATION_ERROR, f"the request has {len(text)} bytes, the limit is {limit_bytes} bytes")
    return text


def _outcome_of_reply(reply: Mapping[str, Any]) -> Any:
    """The result, or an RPCError; fields of an unexpected type in it count as missing."""
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    fields: dict[str, Any] = cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": error}
    code, message, retry_after = (fields.get(key) for key in ("code", "message", "retry_after"))
    seconds = float(retry_after) if type(retry_after) in {int, float} else math.nan
    return RPCError(
        code if isinstance(code, str) and code else _C.INTERNAL_ERROR,
        message if isinstance(message, str) else "",
        details=details if isinstance(details := fields.get("details"), dict) else None,
        retryable=retryable if isinstance(retryable := fields.get("retryable"), bool) else None,
        retry_after=seconds if math.isfinite(seconds) else None,
    )


def _outcome_of_refusal(call: _Call, number: int, text: str, temporary: bool) -> RPCError | None:
    """What an error in the acknowledgement's place means for the call; None: nothing final, it may be sent again."""
    code = _APPLICATION.get(number) or _BUILT_IN.get(number, _C.INTERNAL_ERROR)
    refused = RPCError(code, text, retryable=temporary)
    if call.transport == "rpc":
        return RPCError(_C.OUTCOME_UNKNOWN, f"interrupted: {text}") if number == 100 else refused
    # An overloaded server that refuses a repeat says nothing about the copy before it, which may be running.
    if not (temporary or number == 100) or (number in _APPLICATION and call.sends == 1):
        return refused
    if call.sends > MAX_RESENDS and not call.accepted:
        return RPCError(_C.OUTCOME_UNKNOWN, f"sent {call.sends} times, never acknowledged: {text}")
    return None


def _outcome_of_end(call: _Call, reason: str) -> RPCError:
    """What the end of the connection means for a call: it may have run if it was ever sent."""
    if call.sends:
        return RPCError(_C.OUTCOME_UNKNOWN, f"{reason}; the call was sent and may have run")
    return RPCError(_C.CONNECTION_ERROR, f"{reason}; the call was not sent")


class _HandlerQueue:
    """Runs users' handlers in order, in a task of its own: one that awaited the SDK in its message task would deadlock it."""

    def __init__(self, report: Callable[[Exception, str], None]) -> None:
        self._waiting: deque[tuple[list[Handler], Handler, Any]] = deque()
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def put(self, registered: list[Handler], data: Any) -> None:
        """`registered` is the live list: a handler that leaves it before its turn is not called any more."""
        if len(self._waiting) + len(registered) > MAX_QUEUED_EVENTS:
            self._report(RPCError(_C.SERVICE_UNAVAILABLE, "too many events are waiting"), "an event was dropped")
            return
        self._waiting.extend((registered, handler, data) for handler in registered)
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                registered, handler, data = self._waiting.popleft()
                if handler in registered:
                    await self._call(handler, data)
        finally:
            self._task = None

    async def _call(self, handler: Handler, data: Any) -> None:
        try:
            outcome = handler(data)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:  # noqa: BLE001 - reported; the handlers behind it still run
            self._report(error, "an event handler failed")

    async def close(self) -> None:
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():  # a handler may disconnect
            self._task.cancel()
            await asyncio.wait({self._task})


@dataclass(eq=False, repr=False)
class CentrifugoRPCClient:
    """One user's connection, for one event loop; durations are in seconds.

    `get_token` gives the tokens after the first. `on_state` and `on_error` are called in the event loop and must not block.
    """

    url: str
    token: str
    user_id: str
    _: KW_ONLY
    timeout: float = 30.0
    transport: Transport = "publish"
    get_token: Callable[[], Awaitable[str]] | None = None
    on_state: Callable[[State], object] | None = None
    on_error: Callable[[Exception], object] | None = None
    max_request_bytes: int = MAX_REQUEST_BYTES
    max_pending_calls: int = 10_000
    resend_interval: float = 5.0

    def __post_init__(self) -> None:
        self._reply_channel = f"user#{self.user_id}"
        self._state: State = "disconnected"
        self._pending: dict[str, _Call] = {}
        self._opening: set[tuple[str, asyncio.Future[None]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue = _HandlerQueue(self._report)
        self._handlers: dict[str, list[Handler]] = {}
        events = self._contained(
            _sdk.ClientEventHandler(),
            on_connecting=lambda _: self._enter("connecting"),
            on_disconnected=self._ended,
            on_error=self._failed,
        )
        self._client: Any = _sdk.Client(self.url, events=events, token=self.token, get_token=self.get_token)
        self._replies: Any = None

    @property
    def state(self) -> State:
        return self._state

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Returns when the reply channel is subscribed, before which no reply could arrive. Raises RPCError."""
        if self._state == "disconnected":
            await self._open(self._reply_channel, self._dial, undo=self.disconnect)
        elif self._state == "connecting":
            await self._open(self._reply_channel, self._dial, undo=_nothing)

    async def disconnect(self) -> None:
        """Fails what is pending and leaves no task behind."""
        await self._client.disconnect()
        await self._queue.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it also travels to the server
        transport: Transport | None = None,
    ) -> Any:
        """The method's result as plain JSON data. Raises RPCError."""
        self._require_connection()
        if len(self._pending) >= self.max_pending_calls:
            raise RPCError(_C.SERVICE_UNAVAILABLE, f"{self.max_pending_calls} calls are waiting for a reply already")
        loop = asyncio.get_running_loop()
        seconds = self.timeout if timeout is None else timeout
        request = {"method": method, "params": dict(params or {}), "correlation_id": secrets.token_hex(16)}
        request |= {"reply_to": self._reply_channel, "timeout_ms": _milliseconds(seconds)}
        # A copy, because a repeat must equal the first copy even when the caller changes the parameters meanwhile.
        request = json.loads(_encode(request, self.max_request_bytes))
        call = _Call(request, loop.time() + seconds, transport or self.transport, loop.create_future())
        self._pending[request["correlation_id"]] = call
        try:
            async with asyncio.timeout_at(call.deadline):
                self._transmit(call)
                return await call.reply
        except TimeoutError:
            raise RPCError(_C.TIMEOUT, f"{method}: no reply within {seconds:g} s") from None
        finally:
            call.disarm()
            del self._pending[request["correlation_id"]]

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """`handler(data)`, sync or async, for the server's pushes of that name. Returns what removes it."""
        handlers = self._handlers.setdefault(event, [])
        registered = partial(handler)  # its own object, so that one handler can be registered twice
        handlers.append(registered)
        return lambda: handlers.remove(registered) if registered in handlers else None

    async def subscribe(
        self, channel: str, handler: Handler, *, token: str | Callable[[], Awaitable[str]] | None = None
    ) -> Callable[[], Awaitable[None]]:
        """`handler(data)` for publications of another channel, from when this returns. Returns what unsubscribes. Raises RPCError."""
        self._require_connection()
        live = [handler]

        def closed(context: Any) -> None:
            self._client.remove_subscription(subscription)
            error = RPCError(_C.UNAUTHORIZED, f"{channel}: {context.reason}")
            self._opened(channel, error)
            if live:
                self._report(error, "unsubscribed by the server")

        async def unsubscribe() -> None:
            live.clear()
            await subscription.unsubscribe()

        events = self._contained(
            _sdk.SubscriptionEventHandler(),
            on_publication=lambda context: self._queue.put(live, context.pub.data),
            on_subscribed=lambda _: self._opened(channel, None),
            on_unsubscribed=closed,
            on_error=self._failed,
        )
        source = {"get_token": lambda _: token()} if callable(token) else {"token": token or ""}
        try:
            subscription = self._client.new_subscription(channel, events, **source)
        except _sdk.DuplicateSubscriptionError as error:
            raise RPCError(_C.VALIDATION_ERROR, f"{channel} is subscribed already") from error
        await self._open(channel, subscription.subscribe, undo=unsubscribe)
        return unsubscribe

    def _require_connection(self) -> None:
        if self._state == "disconnected":
            raise RPCError(_C.CONNECTION_ERROR, "not connected")

    async def _dial(self) -> None:
        if self._replies is None:  # not earlier: it needs the running loop
            events = self._contained(
                _sdk.SubscriptionEventHandler(),
                on_publication=self._published,
                on_subscribing=lambda _: self._enter("connecting"),
                # The SDK delivers recovered replies right after this event: what they answer need not be sent again.
                on_subscribed=lambda _: asyncio.get_running_loop().call_soon(self._resume),
                on_unsubscribed=self._reply_channel_closed,
                on_error=self._failed,
            )
            self._replies = self._client.new_subscription(self._reply_channel, events)
        await self._replies.subscribe()
        await self._client.connect()

    async def _open(
        self, channel: str, start: Callable[[], Awaitable[None]], undo: Callable[[], Awaitable[None]]
    ) -> None:
        waiting = (channel, asyncio.get_running_loop().create_future())
        self._opening.add(waiting)
        try:
            async with asyncio.timeout(self.timeout):
                await start()
                await waiting[1]
        except BaseException as error:
            await undo()
            if isinstance(error, TimeoutError):
                raise RPCError(_C.CONNECTION_ERROR, f"{channel} not subscribed within {self.timeout:g} s") from error
            raise
        finally:
            self._opening.discard(waiting)

    def _opened(self, channel: str | None, outcome: RPCError | None) -> None:
        for name, future in self._opening:
            if channel in {name, None}:
                _settle(future, outcome)

    def _transmit(self, call: _Call) -> None:
        """The first send and every repeat; without a connection nothing is lost, because `_resume` comes here again."""
        call.disarm()
        sends_left = (1 + MAX_RESENDS if call.transport == "publish" else 1) - call.sends
        if self._state == "connected" and sends_left > 0:
            self._spawn(self._send(call))

    async def _send(self, call: _Call) -> None:
        seconds = call.deadline - asyncio.get_running_loop().time()
        if call.reply.done() or seconds <= 0 or self._state != "connected":
            return
        call.sends += 1
        call.request["timeout_ms"] = _milliseconds(seconds)
        try:
            # Never cancelled, however the call ends: the SDK would leave its own tasks behind.
            if call.transport == "rpc":
                outcome = await self._client.rpc(call.request["method"], call.request["params"], timeout=seconds)
                _settle(call.reply, outcome.data)
            else:
                await self._client.publish(REQUEST_CHANNEL, call.request, timeout=seconds)
                call.accepted = True
                self._repeat_later(call)
        except _sdk.ReplyError as error:
            self._refused(call, error.code, error.message, error.temporary)
        except KeyError:  # the SDK's answer to an error without a message
            self._refused(call, 0, "refused without a message", temporary=False)
        except _sdk.CentrifugeError as error:  # the acknowledgement is late or lost, which says nothing about the call
            if call.transport == "rpc" and not isinstance(error, _sdk.OperationTimeoutError):
                _settle(call.reply, _outcome_of_end(call, "the connection was lost"))

    def _refused(self, call: _Call, number: int, text: str, temporary: bool) -> None:
        error = _outcome_of_refusal(call, number, text, temporary)
        if error is None:
            self._repeat_later(call)
        else:
            _settle(call.reply, error)

    def _repeat_later(self, call: _Call) -> None:
        call.disarm()
        if not call.reply.done():
            delay = self.resend_interval * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, not a secret
            call.timer = asyncio.get_running_loop().call_later(delay, self._transmit, call)

    def _published(self, context: Any) -> None:
        """Drops what carries `info` (a client published it: a forgery here) and replies to other tabs or to calls given up."""
        data = context.pub.data
        if context.pub.info is not None or not isinstance(data, dict):
            return
        message = cast("dict[str, Any]", data)
        correlation_id, event = message.get("correlation_id"), message.get("event")
        if isinstance(correlation_id, str) and correlation_id in self._pending:
            _settle(self._pending[correlation_id].reply, _outcome_of_reply(message))
        elif isinstance(event, str):
            self._queue.put(self._handlers.get(event, []), message.get("data"))

    def _resume(self) -> None:
        if self._replies.state is _sdk.SubscriptionState.SUBSCRIBED:  # it may have been lost again
            self._enter("connected")
            self._opened(self._reply_channel, None)
            for call in self._pending.values():
                self._transmit(call)

    def _ended(self, context: Any) -> None:
        self._enter("disconnected")
        reason = f"disconnected: {context.reason} ({context.code})"
        for call in self._pending.values():
            _settle(call.reply, _outcome_of_end(call, reason))
        self._opened(None, RPCError(_C.UNAUTHORIZED if context.code in _REFUSED else _C.CONNECTION_ERROR, reason))

    def _reply_channel_closed(self, context: Any) -> None:
        """Without it no reply can arrive, so the connection is of no use."""
        self._opened(self._reply_channel, RPCError(_C.UNAUTHORIZED, f"{self._reply_channel}: {context.reason}"))
        self._spawn(self._client.disconnect())

    def _failed(self, context: Any) -> None:
        self._report(context.error, "the connection failed")
        if context.code == _DIAL_FAILED:
            error = RPCError(_C.CONNECTION_ERROR, f"cannot connect to {self.url}: {context.error}")
            self._opened(self._reply_channel, error)

    def _enter(self, state: State) -> None:
        if state == self._state:
            return
        self._state = state
        try:
            if self.on_state is not None:
                self.on_state(state)
        except Exception as error:  # noqa: BLE001 - reported; the SDK would disconnect for good
            self._report(error, "on_state failed")

    def _contained(self, events: Any, **callbacks: Callable[[Any], object]) -> Any:
        """Sets the SDK's callbacks, which must not raise: it would disconnect for good."""

        def contain(callback: Callable[[Any], object]) -> Callable[[Any], Awaitable[None]]:
            async def run(context: Any) -> None:
                try:
                    callback(context)
                except Exception as error:  # noqa: BLE001 - reported
                    self._report(error, "the client failed")

            return run

        for name, callback in callbacks.items():
            setattr(events, name, contain(callback))
        return events

    def _report(self, error: Exception, text: str) -> None:
        try:
            if self.on_error is None:
                _log.error("%s: %s", text, error, exc_info=error)
            else:
                self.on_error(error)
        except Exception:
            _log.exception("on_error failed")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _nothing() -> None:
    pass
