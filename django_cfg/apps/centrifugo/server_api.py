"""Pure: requests and answers of Centrifugo's server API (https://centrifugal.dev/docs/server/server_api)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from pydantic_core import to_json

from django_cfg.errors import PublishError

__all__ = [
    "api_headers",
    "batch_body",
    "channels_body",
    "presence_body",
    "publish_body",
    "read_batch_answer",
    "read_channels",
    "read_presence",
    "read_publish_answer",
]


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct):
    error: _Error | None = None


class _BatchAnswer(msgspec.Struct):
    replies: list[_Answer] = []
    error: _Error | None = None


class _Result(msgspec.Struct):
    num_clients: int = 0
    channels: dict[str, msgspec.Raw] = {}


class _ResultAnswer(msgspec.Struct):
    result: _Result | None = None
    error: _Error | None = None


def api_headers(api_key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-API-Key": api_key}


def publish_body(channel: str, data: bytes, idempotency_key: str = "") -> bytes:
    """`data` is JSON. What is sent twice under one key within five minutes is published once; the key is ASCII.

    Raises PublishError for a channel that cannot be written.
    """
    key = b',"idempotency_key":"' + idempotency_key.encode() + b'"' if idempotency_key else b""
    return b'{"channel":' + _channel(channel) + key + b',"data":' + data + b"}"


def presence_body(channel: str) -> bytes:
    """For `presence_stats`."""
    return b'{"channel":' + _channel(channel) + b"}"


def channels_body(pattern: str) -> bytes:
    """For `channels`; a glob pattern."""
    return b'{"pattern":' + to_json(pattern) + b"}"


def batch_body(publications: Iterable[bytes]) -> bytes:
    """Bodies of `publish_body` in order, in one request."""
    commands = (b'{"publish":' + publication + b"}" for publication in publications)
    return b'{"commands":[' + b",".join(commands) + b"]}"


def read_publish_answer(status: int, body: bytes) -> None:
    """Raises PublishError unless the publication was taken."""
    error = _decode(status, body, _Answer).error
    if error is not None:
        raise _refused(error)


def read_batch_answer(status: int, body: bytes, count: int) -> list[PublishError | None]:
    """One entry per publication; raises PublishError when the request as a whole failed."""
    answer = _decode(status, body, _BatchAnswer)
    if answer.error is not None:
        raise _refused(answer.error)
    if len(answer.replies) != count:
        raise PublishError(f"Centrifugo answered {len(answer.replies)} of {count} publications")
    return [None if reply.error is None else _refused(reply.error) for reply in answer.replies]


def read_presence(status: int, body: bytes) -> int:
    """How many connections are there; raises PublishError."""
    return _result(status, body).num_clients


def read_channels(status: int, body: bytes) -> list[str]:
    """The names; raises PublishError."""
    return list(_result(status, body).channels)


def _channel(name: str) -> bytes:
    try:
        return to_json(name)
    except ValueError as error:  # half a surrogate pair
        raise PublishError(f"the channel {name!a:.80} cannot be written as JSON: {error}") from error


def _result(status: int, body: bytes) -> _Result:
    answer = _decode(status, body, _ResultAnswer)
    if answer.error is not None or answer.result is None:
        raise _refused(answer.error or _Error())
    result: _Result = answer.result
    return result


def _decode(status: int, body: bytes, kind: type[Any]) -> Any:
    if status == 401:
        raise PublishError("Centrifugo refused the API key: settings.CENTRIFUGO['api_key'] is not its http_api.key")
    if status != 200:
        raise PublishError(f"Centrifugo's server API answered HTTP {status}")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise PublishError(
            "Centrifugo's server API did not answer with its JSON: check settings.CENTRIFUGO['api_url']"
        ) from error


def _refused(error: _Error) -> PublishError:
    return PublishError(f"Centrifugo refused the request: {error.message or 'no reason given'} (error {error.code})")
