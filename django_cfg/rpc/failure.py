"""Pure: an exception of a handler -> the error that its caller may see, and what the log has to say."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import uuid
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import SynchronousOnlyOperation

from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["Failure", "describe", "wire_error"]

MAX_MESSAGE = 500
_LIBRARIES = tuple({str(Path(sysconfig.get_path(key)).resolve()) for key in ("purelib", "platlib", "stdlib")})


@dataclass(frozen=True, slots=True)
class Failure:
    """`unexpected` failures belong into the log with their traceback; `hint` says what to change, where that is known."""

    error: WireError
    unexpected: bool = False
    hint: str = ""


def wire_error(error: RPCError) -> WireError:
    """The package's own error on the wire."""
    return WireError(
        code=error.code,
        message=_text(error, error.code),
        details=error.details,
        retryable=error.retryable,
        retry_after=error.retry_after,
    )


def describe(error: BaseException, method: RPCMethodInfo | None = None) -> Failure:
    """What the caller sees: declared errors and a project's ValueErrors as they are, everything else as an id."""
    if isinstance(error, RPCError) and _may_show(error, method):
        return Failure(wire_error(error), unexpected=error.code == RPCErrorCode.VALIDATION_ERROR)
    if isinstance(error, ValueError) and _is_projects_own(type(error)):
        return Failure(
            WireError(code=RPCErrorCode.APPLICATION_ERROR, message=_text(error, type(error).__name__), retryable=False)
        )
    error_id = uuid.uuid4().hex[:12]
    internal = WireError(
        code=RPCErrorCode.INTERNAL_ERROR, message=f"internal error (id {error_id})", details={"error_id": error_id}
    )
    return Failure(internal, unexpected=True, hint=_hint(error))


def _may_show(error: RPCError, method: RPCMethodInfo | None) -> bool:
    return error.code in RPCErrorCode.__members__.values() or (
        method is not None and isinstance(error, tuple(method.errors))
    )


def _text(error: BaseException, fallback: str) -> str:
    text = str(error).strip() or fallback
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _is_projects_own(kind: type[BaseException]) -> bool:
    """ValueError itself, or a subclass written in the project: not in the standard library, not installed."""
    if kind is ValueError:
        return True
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is not None and not str(Path(file).resolve()).startswith(_LIBRARIES)


def _hint(error: BaseException) -> str:
    if isinstance(error, SynchronousOnlyOperation):
        return (
            "the handler uses the synchronous ORM: use the async twin (acount, aget, acreate, asave, 'async for'), "
            "or wrap the code in asgiref.sync.sync_to_async"
        )
    if isinstance(error, RPCError):
        return f"declare {type(error).__name__} with errors=[...] at @websocket_rpc to let callers see it"
    if isinstance(error, asyncio.CancelledError):
        return "the handler was cancelled from inside"
    return ""
