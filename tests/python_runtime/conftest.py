from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient
from tests.python_runtime.fake_centrifugo import FakeCentrifugo, fake_centrifugo, soon, until
from tests.python_runtime.harness import NEVER, Connect, client_tasks


@pytest.fixture
async def server() -> AsyncIterator[FakeCentrifugo]:
    async with fake_centrifugo() as running:
        yield running


@pytest.fixture
async def connect(server: FakeCentrifugo) -> AsyncIterator[Connect]:
    """Connected clients, which are closed at the end and leave no task behind."""
    clients: list[CentrifugoRPCClient] = []

    async def start(**options: Any) -> CentrifugoRPCClient:
        client = CentrifugoRPCClient(server.url, "token-1", "42", **{"resend_interval": NEVER, **options})
        clients.append(client)
        await soon(client.connect())
        return client

    yield start
    for client in clients:
        await soon(client.disconnect())
    await until(lambda: not client_tasks())
