"""What an application gives to a streaming service, and checks of it when the service is made."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.streaming.outbound import OutboundQueue

__all__ = [
    "ClientIdExtractor",
    "ConnectionCallback",
    "ErrorCallback",
    "MessageProcessor",
    "PingMessageCreator",
    "UndeliveredCallback",
    "check_callback",
    "is_valid_client_id_extractor",
    "is_valid_message_processor",
    "is_valid_ping_creator",
]

TMessage_contra = TypeVar("TMessage_contra", contravariant=True)
TCommand_co = TypeVar("TCommand_co", covariant=True)


@runtime_checkable
class MessageProcessor(Protocol[TMessage_contra]):
    """Awaited for each message of an agent, one after the other."""

    def __call__(
        self, client_id: str, message: TMessage_contra, output_queue: OutboundQueue[Any], /
    ) -> Awaitable[None]: ...


@runtime_checkable
class ClientIdExtractor(Protocol[TMessage_contra]):
    """Reads from an agent's first message who it claims to be."""

    def __call__(self, message: TMessage_contra, /) -> str: ...


@runtime_checkable
class PingMessageCreator(Protocol[TCommand_co]):
    def __call__(self) -> TCommand_co: ...


ConnectionCallback: TypeAlias = Callable[[str], Awaitable[None]]
ErrorCallback: TypeAlias = Callable[[str, BaseException], Awaitable[None]]
UndeliveredCallback: TypeAlias = Callable[[str, Any, str], Awaitable[None]]


def is_valid_message_processor(given: object) -> bool:
    """Asynchronous, and takes (client_id, message, output_queue)."""
    return _is_asynchronous(given) and _takes(given, 3)


def is_valid_client_id_extractor(given: object) -> bool:
    """Synchronous, and takes (message)."""
    return callable(given) and not _is_asynchronous(given) and _takes(given, 1)


def is_valid_ping_creator(given: object) -> bool:
    """Synchronous, and takes nothing."""
    return callable(given) and not _is_asynchronous(given) and _takes(given, 0)


def check_callback(name: str, given: object, form: str) -> None:
    """Raises TypeError unless it has that form: `async def` or `def`, and as many parameters."""
    parameters = form[form.index("(") + 1 : form.index(")")]
    is_async = form.startswith("async")
    count = len(parameters.split(", ")) if parameters else 0
    fits = _may_be_awaited(given) if is_async else not _is_asynchronous(given)
    if not callable(given) or not fits or not _takes(given, count):
        raise TypeError(f"{name} must be {form}, not {_shown(given)}")


def _shown(given: object) -> str:
    if not inspect.isroutine(given):
        return f"{given!r:.80}"
    try:
        signature = str(inspect.signature(given))
    except ValueError:
        signature = "(...)"
    return f"{'async ' if _is_asynchronous(given) else ''}def {given.__name__}{signature}"


def _may_be_awaited(given: object) -> bool:
    """A lambda, or what a decorator has put in front, may well return a coroutine."""
    if getattr(given, "__name__", "") == "<lambda>":
        return True
    return _is_asynchronous(given) or _is_asynchronous(inspect.unwrap(given) if callable(given) else given)


def _is_asynchronous(given: object) -> bool:
    return inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(getattr(given, "__call__", None))  # noqa: B004


def _takes(given: object, count: int) -> bool:
    """Whether it can be called with so many positional arguments; what has no readable signature passes."""
    if not callable(given):
        return False
    try:
        signature = inspect.signature(given)
    except ValueError:
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
