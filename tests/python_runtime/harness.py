"""What the tests of the Python base client share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient, RPCError
from tests.python_runtime.fake_centrifugo import soon

NEVER = 3600.0
Connect = Callable[..., Awaitable[CentrifugoRPCClient]]


def client_tasks() -> list[str]:
    """Tasks of the client and of the SDK, by the file of their code."""
    codes = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    return [f"{code.co_name} in {code.co_filename}" for code in codes if code and _is_client_code(code.co_filename)]


def _is_client_code(filename: str) -> bool:
    return filename.endswith("rpc_client.py") or "/centrifuge/" in filename


def begin(client: CentrifugoRPCClient, params: Any = None, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(client.call("tasks.get", params or {"n": 1}, **options))


async def failure(call: Awaitable[Any]) -> RPCError:
    with pytest.raises(RPCError) as caught:
        await soon(call)
    return caught.value
