"""Pure: what a caller gets for the outcome of its call."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from django_cfg.errors import MalformedMessageError, RPCError, RPCErrorCode, RPCRemoteError
from django_cfg.models.websocket import RPCError as WireError
from django_cfg.modules.django_rpc.explain import stopped_error
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.modules.django_rpc.slots import Outcome
from django_cfg.rpc.call import was_stopped

__all__ = ["read_result"]


def read_result(outgoing: Outgoing, outcome: Outcome, model: type[BaseModel] | None) -> Any:
    """Raises RPCError, and pydantic's ValidationError for a result that does not fit `model`."""
    if isinstance(outcome, RPCError):
        raise _of(outgoing, outcome)
    if outcome.error is not None:
        raise _of(outgoing, _remote_error(outgoing, outcome.error))
    raw = outcome.result or b"null"
    return _plain(outgoing, raw) if model is None else model.model_validate_json(raw)


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
