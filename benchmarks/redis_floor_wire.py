"""The messages of the floors: those of django-ipc, by `json` alone, checked by nobody."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

NOTE = {"user_id": "123", "title": "Order confirmed", "message": "Your order #12345 " + "x" * 60, "number": 7}
REPLY_SECONDS = 60


def request(correlation_id: str, reply_to: str) -> str:
    return json.dumps(
        {
            "correlation_id": correlation_id,
            "timestamp": datetime.now(UTC).isoformat(),
            "method": "notes.echo",
            "reply_to": reply_to,
            "timeout": 30,
            "params": NOTE,
        }
    )


def answered(payload: bytes) -> tuple[str, str]:
    """Where the reply goes, and the reply."""
    asked = json.loads(payload)
    reply = {
        "correlation_id": asked["correlation_id"],
        "timestamp": datetime.now(UTC).isoformat(),
        "success": True,
        "error": None,
        "error_code": None,
        "result": asked["params"],
    }
    return asked["reply_to"], json.dumps(reply)


def result(message: bytes) -> tuple[str, Any]:
    """The correlation id and the result."""
    reply = json.loads(message)
    return reply["correlation_id"], reply["result"]


def new_id() -> str:
    return str(uuid.uuid4())
