"""The base client under the generated one: calls through Centrifugo, matched to their replies by correlation id.

In this order: what a call can fail with, the pure decisions about a call, the queue of users' handlers, the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import math
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Literal, Self, cast, get_args

import centrifuge  # type: ignore[import-untyped, unused-ignore]

__all__ = ["CentrifugoRPCClient", "RPCError", "RPCErrorCode", "State", "Transport"]

Transport = Literal["publish", "rpc"]
State = Literal["connecting", "connected", "disconnected"]
Handler = Callable[[Any], object]
Step = Callable[[], Awaitable[None]]

MAX_RESENDS = 3
MAX_QUEUED_EVENTS = 1_000
CLOSE_SECONDS = 1.0  # for a server that does not answer the goodbye
_sdk: Any = centrifuge  # it ships no types
_DIAL_FAILED = 2  # the SDK's error code for a socket that did not open
_UNSUBSCRIBE_CALLED = 0  # its code for our own unsubscribing; the others come from the server
_REFUSED = frozenset({1, 101, 103, 109, 110, 3500, 3507})  # disconnects: the SDK's own, error replies, close codes
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
_NUMBERS = dict(enumerate(_C, start=1001))  # under which Centrifugo carries these codes
_BUILT_IN_NUMBERS = {
    101: _C.PERMISSION_DENIED,
    103: _C.PERMISSION_DENIED,
    104: _C.METHOD_NOT_FOUND,
    106: _C.RATE_LIMIT_EXCEEDED,
    107: _C.VALIDATION_ERROR,
    108: _C.SERVICE_UNAVAILABLE,
    109: _C.UNAUTHORIZED,
    110: _C.UNAUTHORIZED,
    111: _C.RATE_LIMIT_EXCEEDED,
}


class RPCError(Exception):
    """A call that failed; `code` equals an RPCErrorCode or is the method's own text, `retry_after` is in seconds."""

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
        self.code = _C(code) if code in list(_C) else code
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


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    """The first outcome counts; an RPCError is raised where the future is awaited."""
    if not future.done() and isinstance(outcome, RPCError):
        future.set_exception(outcome)
        future.exception()  # nobody may be waiting any more, which asyncio would report
    elif not future.done():
        future.set_result(outcome)


def _checked(seconds: float, transport: Transport) -> Transport:
    if not math.isfinite(seconds):
        raise RPCError(_C.VALIDATION_ERROR, f"timeout is a number of seconds, not {seconds}")
    if transport not in get_args(Transport):
        raise RPCError(_C.VALIDATION_ERROR, f"transport is 'publish' or 'rpc', not {transport!r}")
    return transport


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
    """The result, or an RPCError, in which fields of an unexpected type count as missing."""
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    fields: dict[str, Any] = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    kinds: dict[str, Any] = {"message": str, "details": dict, "retryable": bool, "retry_after": (int, float)}
    known: dict[str, Any] = {name: fields[name] for name, kind in kinds.items() if isinstance(fields.get(name), kind)}
    code = fields.get("code")
    return RPCError(code if isinstance(code, str) and code else _C.INTERNAL_ERROR, **known)


def _outcome_of_failure(call: _Call, error: Any) -> RPCError | None:
    """What a send that was not acknowledged means for the call; None: nothing final, it may be sent again."""
    if isinstance(error, KeyError):  # what the SDK makes of an error without a message
        return RPCError(_C.INTERNAL_ERROR, "refused without a message")
    if not isinstance(error, _sdk.ReplyError):  # late, or lost with the connection: publishing can be repeated
        lost = call.transport == "rpc" and isinstance(error, _sdk.ClientDisconnectedError)
        return RPCError(_C.OUTCOME_UNKNOWN, "the connection was lost during the call") if lost else None
    number, text, temporary = error.code, error.message, error.temporary or error.code == 100
    # An overloaded server that refuses a repeat says nothing about the copy before it, which may be running.
    if not temporary or (number in _NUMBERS and call.sends == 1) or (call.transport == "rpc" and number != 100):
        code = _NUMBERS.get(number) or _BUILT_IN_NUMBERS.get(number, _C.INTERNAL_ERROR)
        return RPCError(code, text, retryable=temporary)
    if call.transport == "rpc" or (call.sends > MAX_RESENDS and not call.accepted):
        return RPCError(_C.OUTCOME_UNKNOWN, f"sent {call.sends} times and not acknowledged: {text}")
    return None


def _outcome_of_end(call: _Call, reason: str) -> RPCError:
    """What the end of the connection means for a call: it may have run if it was ever sent."""
    if call.sends:
        return RPCError(_C.OUTCOME_UNKNOWN, f"{reason}; the call was sent and may have run")
    return RPCError(_C.CONNECTION_ERROR, f"{reason}; the call was not sent")


class _HandlerQueue:
    """Runs users' handlers in order, in a task of its own: awaiting the SDK in its message task would deadlock."""

    def __init__(self, report: Callable[[Exception], None]) -> None:
        self._waiting: deque[tuple[list[Handler], Handler, Any]] = deque()
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def put(self, registered: list[Handler], data: Any) -> None:
        """`registered` is the live list: a handler that leaves it before its turn is not called any more."""
        if len(self._waiting) + len(registered) > MAX_QUEUED_EVENTS:
            self._report(RPCError(_C.SERVICE_UNAVAILABLE, "an event was dropped: too many are waiting"))
        else:
            self._waiting.extend((registered, handler, data) for handler in registered)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            registered, handler, data = self._waiting.popleft()
            try:
                if handler in registered and inspect.isawaitable(outcome := handler(data)):
                    await outcome
            except asyncio.CancelledError:  # ours, or of something that the handler waited for
                if cast("asyncio.Task[None]", self._task).cancelling():
                    raise
            except Exception as error:  # noqa: BLE001 - reported; the handlers behind it still run
                self._report(error)

    async def close(self) -> None:
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():  # a handler may disconnect
            self._task.cancel()
            await asyncio.wait({self._task})


@dataclass(eq=False, repr=False)
class CentrifugoRPCClient:
    """One user's connection, for one event loop; durations are in seconds.

    `get_token` gives the tokens after the first. `on_state` and `on_error` run in the event loop and must not block.
    `max_request_bytes` is below the server's limit, which counts the frame around the request, too.
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
    max_request_bytes: int = 262_144 - 1_024
    max_pending_calls: int = 10_000
    resend_interval: float = 5.0
    state: State = field(default="disconnected", init=False)

    def __post_init__(self) -> None:
        self._reply_channel = f"user#{self.user_id}"
        self._pending: dict[str, _Call] = {}
        self._opening: set[tuple[str, asyncio.Future[None]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue = _HandlerQueue(self._report)
        self._handlers: dict[str, list[Handler]] = {}
        events = self._listen(
            _sdk.ClientEventHandler(),
            on_connecting=lambda _: self._enter("connecting"),
            on_disconnected=self._ended,
        )
        self._client: Any = _sdk.Client(self.url, events=events, token=self.token, get_token=self.get_token)
        self._replies: Any = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Returns when the reply channel is subscribed, before which no reply could arrive. Raises RPCError."""
        if self.state != "connected":
            await self._open(self._reply_channel, self._dial, undo=self.disconnect)

    async def disconnect(self) -> None:
        """Fails what is pending and leaves no task and no socket behind."""
        connection = getattr(self._client, "_conn", None)  # the SDK closes it, but does not wait for it
        await self._client.disconnect()
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), CLOSE_SECONDS)
        await self._queue.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the server is told it, too
        transport: Transport | None = None,
    ) -> Any:
        """The method's result as plain JSON data. Raises RPCError."""
        self._require_connection()
        if len(self._pending) >= self.max_pending_calls:
            raise RPCError(_C.SERVICE_UNAVAILABLE, f"{self.max_pending_calls} calls are waiting for a reply already")
        loop, seconds = asyncio.get_running_loop(), self.timeout if timeout is None else timeout
        way = _checked(seconds, transport or self.transport)
        name, head = secrets.token_hex(16), {"method": method, "reply_to": self._reply_channel}
        given = dict(params) if isinstance(params, Mapping) else {} if params is None else params
        request = {**head, "correlation_id": name, "params": given, "timeout_ms": int(seconds * 1000)}
        # A copy, because a repeat must equal the first copy even when the caller changes the parameters meanwhile.
        request = json.loads(_encode(request, self.max_request_bytes))
        call = _Call(request, loop.time() + seconds, way, loop.create_future())
        self._pending[name] = call
        try:
            async with asyncio.timeout_at(call.deadline):
                self._transmit(call)
                return await call.reply
        except TimeoutError:
            raise RPCError(_C.TIMEOUT, f"{method}: no reply within {seconds:g} s") from None
        finally:
            call.disarm()
            del self._pending[name]

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """`handler(data)`, sync or async, for the server's pushes of that name. Returns what removes it."""
        handlers = self._handlers.setdefault(event, [])
        handlers.append(registered := partial(handler))  # its own object: one handler may be registered twice
        return lambda: handlers.remove(registered) if registered in handlers else None

    async def subscribe(
        self, channel: str, handler: Handler, *, token: str | Callable[[], Awaitable[str]] | None = None
    ) -> Step:
        """`handler(data)` for the publications of another channel. Returns what unsubscribes. Raises RPCError."""
        self._require_connection()
        if self._client.get_subscription(channel) is not None:
            raise RPCError(_C.VALIDATION_ERROR, f"{channel} is subscribed already")
        handlers = [handler]
        events = self._listen(
            _sdk.SubscriptionEventHandler(),
            on_publication=lambda context: self._queue.put(handlers, context.pub.data),
            on_subscribed=lambda _: self._opened(channel, None),
            on_unsubscribed=partial(self._closed, channel),
        )
        refresh: Callable[[str], Awaitable[str]] | None = (lambda _: token()) if callable(token) else None
        fixed = token if isinstance(token, str) else ""
        subscription = self._client.new_subscription(channel, events, token=fixed, get_token=refresh)

        async def unsubscribe() -> None:
            handlers.clear()
            await subscription.unsubscribe()

        await self._open(channel, subscription.subscribe, undo=unsubscribe)
        return unsubscribe

    def _require_connection(self) -> None:
        if self.state == "disconnected":
            raise RPCError(_C.CONNECTION_ERROR, "not connected")

    async def _dial(self) -> None:
        if self._replies is None:  # not earlier: it needs the running loop
            events = self._listen(
                _sdk.SubscriptionEventHandler(),
                on_publication=self._received,
                # Called before the SDK delivers recovered replies: the calls that they answer must not be sent again.
                on_subscribed=lambda _: asyncio.get_running_loop().call_soon(self._resume),
                on_unsubscribed=partial(self._closed, self._reply_channel),
            )
            self._replies = self._client.new_subscription(self._reply_channel, events)
        await self._replies.subscribe()
        await self._client.connect()

    async def _open(self, channel: str, start: Step, undo: Step) -> None:
        waiting = (channel, asyncio.get_running_loop().create_future())
        self._opening.add(waiting)
        try:
            async with asyncio.timeout(self.timeout):
                await start()
                await waiting[1]
        except BaseException as error:
            await undo()
            if isinstance(error, TimeoutError):
                raise RPCError(_C.CONNECTION_ERROR, f"{channel}: not subscribed in {self.timeout:g} s") from error
            raise
        finally:
            self._opening.discard(waiting)

    def _opened(self, channel: str | None, outcome: RPCError | None) -> bool:
        """Tells those who wait for the channel (None: for any), and whether there were any."""
        waiting = [future for name, future in self._opening if channel in {name, None}]
        for future in waiting:
            _settle(future, outcome)
        return bool(waiting)

    def _transmit(self, call: _Call) -> None:
        """The first send and every repeat. Without a connection it does nothing: `_resume` comes here again."""
        sends_allowed = 1 if call.transport == "rpc" else 1 + MAX_RESENDS
        if self.state == "connected" and call.sends < sends_allowed:
            self._spawn(self._send(call))

    async def _send(self, call: _Call) -> None:
        """Goes on when the call is over: cancelled, the SDK would leave a task of its own behind."""
        call.disarm()
        loop, request = asyncio.get_running_loop(), call.request
        seconds = call.deadline - loop.time()
        if call.reply.done() or seconds <= 0 or self.state != "connected":
            return
        call.sends += 1
        request["timeout_ms"] = int(seconds * 1000)
        try:
            if call.transport == "rpc":
                outcome = await self._client.rpc(request["method"], request["params"], timeout=seconds)
                _settle(call.reply, outcome.data)
            else:
                await self._client.publish("rpc.requests", request, timeout=seconds)
                call.accepted = True
        except (_sdk.CentrifugeError, KeyError) as error:
            if final := _outcome_of_failure(call, error):
                _settle(call.reply, final)
        if not call.reply.done():
            call.disarm()
            delay = self.resend_interval * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, not a secret
            call.timer = loop.call_later(delay, self._transmit, call)

    def _received(self, context: Any) -> None:
        """A reply or an event. With `info` it is a forgery of another client; an unknown id is another tab's."""
        data = context.pub.data
        if context.pub.info is not None or not isinstance(data, dict):
            return
        message = cast("dict[str, Any]", data)
        name, event = message.get("correlation_id"), message.get("event")
        if isinstance(name, str) and name in self._pending:
            _settle(self._pending[name].reply, _outcome_of_reply(message))
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

    def _closed(self, channel: str, context: Any) -> None:
        error = RPCError(_C.UNAUTHORIZED, f"{channel}: {context.reason}")
        if not self._opened(channel, error) and context.code != _UNSUBSCRIBE_CALLED:
            self._report(error)
        if channel == self._reply_channel:  # no reply can arrive any more
            self._spawn(self._client.disconnect())
        else:
            self._client.remove_subscription(self._client.get_subscription(channel))

    def _failed(self, context: Any) -> None:
        error = RPCError(_C.CONNECTION_ERROR, f"cannot connect to {self.url}: {context.error}")
        if context.code != _DIAL_FAILED or not self._opened(self._reply_channel, error):
            self._report(context.error)

    def _enter(self, state: State) -> None:
        changed, self.state = state != self.state, state
        if changed and self.on_state is not None:
            self._contain(self.on_state, state)

    def _listen(self, events: Any, **callbacks: Callable[[Any], object]) -> Any:
        """The SDK's callbacks: awaiting the SDK in one deadlocks, raising in one ends the connection for good."""
        for name, callback in {"on_error": self._failed, **callbacks}.items():

            async def contained(context: Any, callback: Callable[[Any], object] = callback) -> None:
                self._contain(callback, context)

            setattr(events, name, contained)
        return events

    def _contain(self, callback: Callable[[Any], object], argument: Any) -> None:
        try:
            callback(argument)
        except Exception as error:  # noqa: BLE001 - reported
            self._report(error)

    def _report(self, error: Exception) -> None:
        try:
            if self.on_error is not None:
                self.on_error(error)
            else:
                _log.error("%s", error, exc_info=error)
        except Exception as second:  # noqa: BLE001 - reported
            _log.error("on_error failed", exc_info=second)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
