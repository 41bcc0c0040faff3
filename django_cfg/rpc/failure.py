"""Pure: an exception of a handler -> the error that its caller may see, and what the log has to say."""

from __future__ import annotations

import sys
import uuid
from asyncio import CancelledError
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import SynchronousOnlyOperation
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from django_cfg.errors import ConfigurationError, RPCError, RPCErrorCode
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.rpc.method import RPCMethodInfo

__all__ = ["Failure", "describe", "wire_error"]

MAX_MESSAGE = 500
_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True)
class Failure:
    """`unexpected` failures belong into the log with their traceback; `hint` says what to change, if that is known."""

    error: WireError
    unexpected: bool = False
    hint: str = ""


def wire_error(error: RPCError) -> WireError:
    """The package's own error on the wire; raises ValidationError for fields that cannot stand there."""
    return WireError(
        code=error.code,
        message=_text(error, error.code),
        details=error.details,
        retryable=error.retryable,
        retry_after=error.retry_after,
    )


def describe(error: BaseException, method: RPCMethodInfo | None = None) -> Failure:
    """What the caller sees: declared errors and a project's ValueErrors as they are, everything else as an id."""
    try:
        shown = _shown(error, method)
        if shown is not None:
            shown.error.model_dump_json()
            return shown
    except (ValidationError, PydanticSerializationError):
        return _internal("the error's fields do not fit the wire: details must be JSON, retry_after not negative")
    except Exception as broken:  # noqa: BLE001 - whatever an error is made of, its caller must not wait for ever
        return _internal(f"the error itself cannot be read: {broken!r:.200}")
    return _internal(_hint(error))


def _shown(error: BaseException, method: RPCMethodInfo | None) -> Failure | None:
    if isinstance(error, RPCError) and _may_show(error, method):
        return Failure(wire_error(error), unexpected=error.code == RPCErrorCode.VALIDATION_ERROR)
    if isinstance(error, ValueError) and _is_projects_own(type(error)):
        return Failure(WireError(code=RPCErrorCode.APPLICATION_ERROR, message=_text(error, type(error).__name__)))
    return None


def _internal(hint: str) -> Failure:
    error_id = uuid.uuid4().hex[:12]
    error = WireError(
        code=RPCErrorCode.INTERNAL_ERROR, message=f"internal error (id {error_id})", details={"error_id": error_id}
    )
    return Failure(error, unexpected=True, hint=hint)


def _may_show(error: RPCError, method: RPCMethodInfo | None) -> bool:
    declared = tuple(method.errors) if method is not None else ()
    if isinstance(error, declared):
        return True
    return error.code in RPCErrorCode.__members__.values() and not _is_of_another_call(error)


def _is_of_another_call(error: RPCError) -> bool:
    """It came out of a call that the handler made, or of its settings: "nothing has run" would be said of this one."""
    return bool(error.called) or isinstance(error, ConfigurationError)


def _text(error: BaseException, fallback: str) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the caller its reply
        text = ""
    # Half a surrogate pair cannot be written as JSON.
    text = text.encode(errors="replace").decode().strip() or fallback
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _is_projects_own(kind: type[BaseException]) -> bool:
    """ValueError itself, or a subclass written in the project: not in the standard library, not installed."""
    if kind is ValueError:
        return True
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is not None and _INSTALLED.isdisjoint(Path(file).parts)


def _hint(error: BaseException) -> str:
    if isinstance(error, SynchronousOnlyOperation):
        return (
            "the handler uses the synchronous ORM: use the async twin (acount, aget, acreate, asave, 'async for'), "
            "or wrap the code in asgiref.sync.sync_to_async"
        )
    if isinstance(error, RPCError) and _is_of_another_call(error):
        return f"its call of {error.called or 'another method'} failed: catch that, and raise what its caller may see"
    if isinstance(error, RPCError):
        return f"declare {type(error).__name__} with errors=[...] at @websocket_rpc to let callers see it"
    if isinstance(error, CancelledError):
        return "the handler was cancelled from inside"
    return ""
