"""What callers get for the outcomes of their calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from django_cfg.errors import MalformedMessageError, RPCError, RPCErrorCode, RPCRemoteError
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.modules.django_rpc.attempt import Attempt
from django_cfg.modules.django_rpc.calls import RPCCall
from django_cfg.modules.django_rpc.explain import stopped_error
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.modules.django_rpc.slots import Outcome
from django_cfg.rpc.call import was_stopped

__all__ = ["note_all", "outgoings", "read_result", "read_results"]


def read_result(outgoing: Outgoing, outcome: Outcome, model: type[BaseModel] | None) -> Any:
    """Raises RPCError, and pydantic's ValidationError for a result that does not fit `model`."""
    if isinstance(outcome, RPCError):
        raise _of(outgoing, outcome)
    if outcome.error is not None:
        raise _of(outgoing, _remote_error(outgoing, outcome.error))
    raw = outcome.result or b"null"
    return _plain(outgoing, raw) if model is None else model.model_validate_json(raw)


def outgoings(attempts: Iterable[Attempt | RPCError]) -> list[Outgoing]:
    """Of those that can be sent."""
    return [attempt.outgoing for attempt in attempts if isinstance(attempt, Attempt)]


def note_all(attempts: Iterable[Attempt | RPCError], outcomes: Sequence[Outcome]) -> None:
    """One outcome for each that was sent."""
    sent = (attempt for attempt in attempts if isinstance(attempt, Attempt))
    for attempt, outcome in zip(sent, outcomes, strict=True):
        attempt.note(outcome)


def read_results(calls: Sequence[RPCCall], attempts: Sequence[Attempt | RPCError]) -> list[Any]:
    """In the order of the calls; where one failed, its exception."""
    return [_read(attempt, call.result_model) for call, attempt in zip(calls, attempts, strict=True)]


def _read(attempt: Attempt | RPCError, model: type[BaseModel] | None) -> Any:
    if isinstance(attempt, RPCError):
        return attempt
    try:
        return read_result(attempt.outgoing, attempt.outcome, model)
    except (RPCError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        return error


def _of(outgoing: Outgoing, error: RPCError) -> RPCError:
    error.called = outgoing.method
    return error


def _remote_error(outgoing: Outgoing, error: WireError) -> RPCError:
    return stopped_error(outgoing) if _was_stopped(outgoing, error) else RPCRemoteError(error)


def _was_stopped(outgoing: Outgoing, error: WireError) -> bool:
    """Older servers say it with their text alone."""
    in_words = error.code == RPCErrorCode.TIMEOUT and error.details is None
    return was_stopped(error) or (in_words and error.message.startswith(f"{outgoing.method} did not finish within "))


def _plain(outgoing: Outgoing, raw: bytes) -> Any:
    try:
        return from_json(raw)
    except ValueError as error:
        raise _of(outgoing, MalformedMessageError(f"the result cannot be read: {error}")) from error
