"""Requests by hand, as the older clients write them, and their replies."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

STREAM, GROUP = "stream:requests", "rpc_group"
BOUND_SECONDS = 15


def dialect_a(method: str, params: Any, **changes: Any) -> dict[str, Any]:
    """What `RPCRequest.model_dump_json()` holds."""
    correlation_id = str(uuid.uuid4())
    request = {
        "correlation_id": correlation_id,
        "timestamp": "2026-11-20T09:48:05.413699Z",
        "method": method,
        "reply_to": f"list:response:{correlation_id}",
        "timeout": 30,
        "params": params,
    }
    return {**request, **changes}


def dialect_b(method: str, params: Any, **changes: Any) -> dict[str, Any]:
    """What the later client writes."""
    correlation_id = str(uuid.uuid4())
    request = {
        "type": "rpc",
        "method": method,
        "params": params,
        "correlation_id": correlation_id,
        "reply_to": f"list:response:{correlation_id}",
        "timeout": 30,
    }
    return {**request, **changes}


def send(redis: Any, request: dict[str, Any] | str) -> str:
    payload = request if isinstance(request, str) else json.dumps(request)
    entry_id: bytes = redis.xadd(STREAM, {"payload": payload}, maxlen=10000, approximate=True)
    return entry_id.decode()


def reply_to(redis: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The next reply to a request that was sent."""
    popped = redis.blpop(request["reply_to"], BOUND_SECONDS)
    assert popped is not None, "no reply"
    decoded: dict[str, Any] = json.loads(popped[1])
    return decoded


def ask(redis: Any, request: dict[str, Any]) -> dict[str, Any]:
    send(redis, request)
    return reply_to(redis, request)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def is_clean(redis: Any) -> bool:
    """Whether nothing waits, nothing runs and nobody's reply lies about."""
    pending = redis.xpending(STREAM, GROUP)["pending"]
    return redis.xlen(STREAM) == 0 and pending == 0 and not list(redis.scan_iter("list:response:*"))
