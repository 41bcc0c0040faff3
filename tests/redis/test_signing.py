"""Signed requests over a real Redis and in process: who is believed, and for whom a caller may speak."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from django_cfg.errors import RPCErrorCode, RPCRemoteError
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.conf import signer_for
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.management.commands import rpc_dead_letters
from django_cfg.rpc.router import get_global_router
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.test_commands import output
from tests.redis.wire import STREAM, ask, dialect_b, is_clean, reply_to, wait_until

KEY = "a key of the project, of more than 32 characters"


@pytest.fixture
def strict(config: WebSocketRPCConfig) -> WebSocketRPCConfig:
    return config.model_copy(update={"signing_key": KEY, "require_signature": True})


@pytest.fixture
def server(strict: WebSocketRPCConfig, handlers: Handlers) -> Iterator[Running]:
    with serving(strict, handlers) as running:
        yield running


def client_of(config: WebSocketRPCConfig, **changes: Any) -> WebSocketRPCClient:
    return WebSocketRPCClient(config.model_copy(update=changes))


def refusal(client: WebSocketRPCClient) -> str:
    with pytest.raises(RPCRemoteError) as caught:
        client.call("effect", {"name": "forged"})
    client.close()
    assert caught.value.error.code == RPCErrorCode.UNAUTHORIZED
    return str(caught.value)


def test_only_signed_requests_run(
    strict: WebSocketRPCConfig, redis: Any, server: Running, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(strict)
    assert client.call("effect", {"name": "signed"}) == {"count": 1}
    assert client.call_many([("effect", {"name": "signed"})] * 2)[1]["count"] > 1
    client.fire_and_forget("effect", {"name": "signed"})
    wait_until(lambda: len(handlers.ran) == 4)
    client.close()

    with caplog.at_level(logging.WARNING, "django_cfg.rpc.redis"):
        assert "signed requests only" in refusal(client_of(strict, signing_key="", require_signature=False))
    assert "must have the same key" in refusal(client_of(strict, signing_key="k" * 32))
    assert ask(redis, dialect_b("effect", {}))["error"]["code"] == "unauthorized"

    assert set(handlers.ran) == {"signed"}
    assert server.server.counts["unauthorized"] == 3
    assert caplog.records[0].__dict__["method"] == "effect"
    wait_until(lambda: is_clean(redis))


def test_an_unsigned_event_is_a_dead_letter(
    strict: WebSocketRPCConfig, redis: Any, server: Running, handlers: Handlers
) -> None:
    """Its caller cannot be told."""
    client = client_of(strict, signing_key="", require_signature=False)
    entry_id = client.fire_and_forget("effect", {"name": "unsigned"})
    client.close()

    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    ((_, letter),) = redis.xrange(f"{STREAM}:dead")
    assert letter[b"entry_id"].decode() == entry_id
    assert b"signed requests only" in letter[b"reason"]
    assert handlers.ran == []
    wait_until(lambda: is_clean(redis))


def test_a_request_played_back_after_its_record_has_gone_is_refused(
    strict: WebSocketRPCConfig, redis: Any, server: Running, handlers: Handlers
) -> None:
    request = dialect_b("effect", {"name": "again"})
    fields = {b"payload": json.dumps(request).encode()}
    seconds, _ = redis.time()
    old = signer_for(strict, STREAM).sign(request["correlation_id"], "effect", fields, (seconds - 61) * 1000)

    redis.xadd(STREAM, {**fields, b"signature": old})

    assert "too old" in reply_to(redis, request)["error"]["message"]
    assert handlers.ran == []


@pytest.mark.parametrize("url", ["memory://", "redis"])
def test_a_call_for_a_user(url: str, config: WebSocketRPCConfig, handlers: Handlers) -> None:
    seen: list[Any] = []

    async def whoami(conn: Any, params: Any) -> list[Any]:
        seen.append(conn)
        return [conn.user_id, conn.is_service]

    handlers.router = lambda: project  # type: ignore[method-assign]
    project = get_global_router()
    project.register_handler("signing.whoami", whoami)
    changed = config.model_copy(update={} if url == "redis" else {"redis_url": url})
    client = WebSocketRPCClient(changed)
    with serving(config, handlers):
        assert client.call("signing.whoami") == [None, True]
        assert client.call("signing.whoami", as_user="42") == ["42", True]
        client.fire_and_forget("signing.whoami", as_user="43")
        wait_until(lambda: seen[-1].user_id == "43")
        assert client.call("signing.whoami", as_user=42) == ["42", True]
        assert client.call("signing.whoami", as_user=UUID(int=1)) == [str(UUID(int=1)), True]
    client.close()


@pytest.mark.parametrize("nobody", [None, "", "a user", True, 4.2, object()])
def test_who_has_no_id_is_not_taken_for_the_service(nobody: Any) -> None:
    """A view passes `request.user.pk` of a visitor who has not signed in."""
    client = WebSocketRPCClient(WebSocketRPCConfig(redis_url="memory://"))
    for call in (client.call, client.fire_and_forget, lambda *of, **how: asyncio.run(client.acall(*of, **how))):
        with pytest.raises(ValueError, match=r"as_user is no user id: .*visitor who has not signed in has no id"):
            call("signing.whoami", as_user=nobody)


def test_nobody_speaks_for_a_user_without_a_signature(
    config: WebSocketRPCConfig, redis: Any, handlers: Handlers
) -> None:
    request = dialect_b("effect", {})
    with serving(config, handlers):
        redis.xadd(STREAM, {"payload": json.dumps(request), "user": "42"})

        assert "must sign" in reply_to(redis, request)["error"]["message"]
    assert handlers.ran == []


def test_users_do_not_share_one_key(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    """Or the second would get the reply of the first."""
    client = WebSocketRPCClient(config)
    with serving(config, handlers):
        assert client.call("effect", idempotency_key="k", as_user="42") == {"count": 1}
        with pytest.raises(RPCRemoteError, match="another call"):
            client.call("effect", idempotency_key="k", as_user="43")
    client.close()


def test_a_dead_letter_is_signed_anew_if_it_was_signed_right(
    strict: WebSocketRPCConfig, redis: Any, server: Running, handlers: Handlers, settings: Any
) -> None:
    settings.WEBSOCKET_RPC = strict.to_django_settings()["WEBSOCKET_RPC"]
    client_of(strict).fire_and_forget("boom")
    wait_until(lambda: redis.xlen(f"{STREAM}:dead") == 1)
    ((letter_id, letter),) = redis.xrange(f"{STREAM}:dead")
    payload = letter[b"payload"]
    fields = {b"payload": payload}
    signer, correlation_id = signer_for(strict, STREAM), json.loads(payload)["correlation_id"]
    redis.xdel(f"{STREAM}:dead", letter_id)
    old = redis.xadd(f"{STREAM}:dead", fields | {b"signature": signer.sign(correlation_id, "boom", fields, 1_000)})
    forged = redis.xadd(f"{STREAM}:dead", fields | {b"signature": b"1.1000." + b"0" * 64})

    output(rpc_dead_letters, "--requeue", old.decode())
    wait_until(lambda: server.server.counts["dead"] == 2)
    output(rpc_dead_letters, "--requeue", forged.decode())

    wait_until(lambda: server.server.counts["unauthorized"] == 1)
    assert server.server.counts["dead"] == 2
