from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Generator
from io import BytesIO
from typing import Any

import jwt
import msgspec
import pytest
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.test import AsyncClient, Client, RequestFactory, override_settings

from django_cfg.apps.centrifugo import views
from django_cfg.apps.centrifugo.http_edge import ENVELOPE_BYTES
from django_cfg.apps.centrifugo.tests.api_stub import ApiStub, api_stub
from django_cfg.apps.centrifugo.tests.proxied import SECRET, envelope, native, publish_body
from django_cfg.rpc.router import MessageRouter
from django_cfg.rpc.runner import CallRunner
from django_cfg.rpc.tests.models import AddParams, AddResult, add
from django_cfg.rpc.tests.running import BOUND_SECONDS, until

TOKEN_SECRET = "token-secret-of-more-than-thirty-two-bytes"
PUBLISH, RPC, TOKEN = "/centrifugo/publish", "/centrifugo/rpc", "/centrifugo/token"
NATIVE = msgspec.json.encode(native())
REPLY = ("user#42", {"correlation_id": "c1", "result": {"total": 3}})


class Runs:
    """Counts the calls of `add` and says on which threads they ran."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    async def add(self, conn: Any, params: AddParams) -> AddResult:
        self.threads.append(threading.current_thread())
        return await add(conn, params)


@pytest.fixture
def runs(router: MessageRouter) -> Runs:
    runs = Runs()
    router.register_handler("add", runs.add)
    return runs


@pytest.fixture
def stub() -> Generator[ApiStub]:
    views._claims.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with (
        api_stub() as stub,
        override_settings(
            DEBUG=True,
            CENTRIFUGO=stub.config(proxy_secret=SECRET, token_secret=TOKEN_SECRET, max_request_bytes=10_000),
        ),
    ):
        yield stub


class Wsgi:
    """Django's test client, with the requests that Centrifugo makes."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    def post(self, path: str, body: bytes, secret: str | None = SECRET, **headers: str) -> Any:
        given = headers if secret is None else {"X-Rpc-Proxy-Key": secret, **headers}
        return self.client.post(path, body, content_type="application/json", headers=given)


class Asgi:
    def __init__(self) -> None:
        self.client = AsyncClient(enforce_csrf_checks=True)

    async def post(self, path: str, body: bytes, secret: str | None = SECRET, **headers: str) -> Any:
        given = headers if secret is None else {"X-Rpc-Proxy-Key": secret, **headers}
        return await self.client.post(path, body, content_type="application/json", headers=given)


def test_publish_under_wsgi_runs_the_call_and_answers(stub: ApiStub, runs: Runs) -> None:
    response = Wsgi().post(PUBLISH, publish_body())
    assert (response.status_code, response.content) == (200, b'{"result":{"skip_history":true}}')
    assert stub.published == [REPLY]


def test_a_repeated_call_under_wsgi_runs_once(stub: ApiStub, runs: Runs) -> None:
    """Every request has an event loop of its own there, and all share one store of claims."""
    for _ in range(3):
        Wsgi().post(PUBLISH, publish_body())
    assert stub.published == [REPLY] * 3
    assert len(runs.threads) == 1


def runners() -> int:
    gc.collect()
    return sum(type(thing) is CallRunner for thing in gc.get_objects())  # isinstance would wake lazy ones


def test_requests_under_wsgi_leave_nothing_behind(stub: ApiStub, runs: Runs) -> None:
    Wsgi().post(RPC, NATIVE)
    before = runners()
    for _ in range(5):
        Wsgi().post(RPC, NATIVE)
    assert runners() == before


def test_event_loops_that_have_ended_are_forgotten(stub: ApiStub, runs: Runs) -> None:
    asyncio.run(Asgi().post(RPC, NATIVE))
    before = runners()
    for _ in range(5):
        asyncio.run(Asgi().post(RPC, NATIVE))
    assert runners() == before


async def test_publish_under_asgi_answers_at_once(stub: ApiStub, router: MessageRouter) -> None:
    gate = asyncio.Event()

    async def hold(conn: Any, params: Any) -> str:
        await gate.wait()
        return "held"

    router.register_handler("hold", hold)
    response = await Asgi().post(PUBLISH, publish_body(envelope(method="hold")))
    assert (response.status_code, response.content) == (200, b'{"result":{"skip_history":true}}')
    assert stub.published == []
    gate.set()
    await until(lambda: stub.published == [("user#42", {"correlation_id": "c1", "result": "held"})])


async def test_native_calls_under_asgi(stub: ApiStub, runs: Runs) -> None:
    response = await Asgi().post(RPC, NATIVE)
    assert response.json() == {"result": {"data": {"total": 3}}}


def test_native_calls_under_wsgi(stub: ApiStub, runs: Runs) -> None:
    assert Wsgi().post(RPC, NATIVE).json() == {"result": {"data": {"total": 3}}}


@pytest.mark.parametrize("path", [PUBLISH, RPC])
@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "sécret"])
async def test_without_the_secret_nothing_runs(path: str, secret: str | None, stub: ApiStub, runs: Runs) -> None:
    body = publish_body() if path == PUBLISH else NATIVE
    response = await Asgi().post(path, body, secret)
    assert response.status_code == 403
    response = await asyncio.to_thread(Wsgi().post, path, body, secret)
    assert response.status_code == 403
    assert runs.threads == []
    assert stub.requests == []


@pytest.mark.parametrize("path", [PUBLISH, RPC])
def test_only_post(path: str, stub: ApiStub) -> None:
    assert Wsgi().client.get(path, headers={"X-Rpc-Proxy-Key": SECRET}).status_code == 405


async def test_a_body_over_the_limit(stub: ApiStub, runs: Runs) -> None:
    body = publish_body(envelope(params={"a": 1, "text": "x" * (10_000 + ENVELOPE_BYTES)}))
    assert (await Asgi().post(PUBLISH, body)).status_code == 413
    assert (await asyncio.to_thread(Wsgi().post, PUBLISH, body)).status_code == 413
    assert runs.threads == []


@pytest.mark.parametrize("length", [b"", b"10", b"9" * 5000])
async def test_a_body_that_lies_about_its_length(length: bytes, stub: ApiStub, runs: Runs) -> None:
    body = publish_body(envelope(params={"a": 1, "text": "x" * (10_000 + ENVELOPE_BYTES)}))
    headers = [(b"x-rpc-proxy-key", SECRET.encode()), (b"content-length", length)]
    scope = {"type": "http", "method": "POST", "path": PUBLISH, "query_string": b"", "headers": headers}
    response = await views.publish_proxy(ASGIRequest(scope, BytesIO(body)))
    assert response.status_code == 413
    assert runs.threads == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_no_centrifugo_sends(body: bytes, stub: ApiStub) -> None:
    assert (await Asgi().post(PUBLISH, body)).status_code == 400


async def test_refused_calls_are_answered_in_the_proxys_own_words(stub: ApiStub, runs: Runs) -> None:
    response = await Asgi().post(PUBLISH, publish_body(channel="user#victim"))
    assert response.status_code == 200
    assert response.json() == {"error": {"code": 1014, "message": "clients may publish to rpc.requests only"}}
    assert stub.requests == []


def test_a_handlers_database_work_is_on_the_requests_thread(stub: ApiStub, router: MessageRouter, db: None) -> None:
    """The test's transaction is visible to the handler, as in every Django test."""

    async def count(conn: Any, params: Any) -> int:
        return await User.objects.acount()

    router.register_handler("count", count)
    User.objects.create(username="not committed")
    Wsgi().post(PUBLISH, publish_body(envelope(method="count")))
    assert stub.published == [("user#42", {"correlation_id": "c1", "result": 1})]


def token_of(response: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType] - as in tokens.py
        response.json()["token"], TOKEN_SECRET, algorithms=["HS256"]
    )
    return claims


def test_a_token_for_who_is_logged_in(stub: ApiStub, db: None) -> None:
    user, client = User.objects.create(username="ann"), Client()
    client.force_login(user)
    response = client.post(TOKEN)
    assert response.status_code == 200
    assert response.json() | {"token": ""} == {"token": "", "user_id": str(user.pk), "expires_in": 600}
    assert token_of(response)["sub"] == str(user.pk)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
async def test_a_token_under_asgi(stub: ApiStub) -> None:
    user, client = await User.objects.acreate(username="ann"), AsyncClient()
    await client.aforce_login(user)
    assert token_of(await client.post(TOKEN))["sub"] == str(user.pk)


def test_nobody_gets_no_token(stub: ApiStub, db: None) -> None:
    response = Client().post(TOKEN)
    assert (response.status_code, response.json()) == (401, {"error": "log in first"})
    assert "no-store" in response["Cache-Control"]


def test_an_id_without_a_channel_gets_no_token(stub: ApiStub) -> None:
    class Odd:
        is_authenticated, pk = True, "1,2"

    request = RequestFactory().post(TOKEN)
    request.user = Odd()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # pyright: ignore
    response = views.connection_token(request)
    assert response.status_code == 403
    assert "cannot be a user id" in json.loads(response.content)["error"]


def test_a_token_is_never_in_a_get(stub: ApiStub, db: None) -> None:
    client = Client()
    client.force_login(User.objects.create(username="ann"))
    response = client.get(TOKEN)
    assert response.status_code == 405
    assert b"token" not in response.content


@pytest.mark.parametrize("middleware", [True, False])
def test_the_token_view_is_protected_against_forged_requests(middleware: bool, stub: ApiStub, db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="ann"))
    chosen = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        *(["django.middleware.csrf.CsrfViewMiddleware"] if middleware else []),
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    with override_settings(MIDDLEWARE=chosen):
        assert client.post(TOKEN).status_code == 403
        csrf = "x" * 32
        client.cookies["csrftoken"] = csrf
        assert client.post(TOKEN, headers={"X-CSRFToken": csrf}).status_code == 200


def test_calls_of_many_requests_at_once_under_wsgi(stub: ApiStub, runs: Runs) -> None:
    bodies = [publish_body(envelope(correlation_id=f"c{n}"), user=f"u{n % 2}") for n in range(12)]
    threads = [threading.Thread(target=Wsgi().post, args=(PUBLISH, body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_SECONDS)
    replies = {(channel, data["correlation_id"]) for channel, data in stub.published}
    assert replies == {(f"user#u{n % 2}", f"c{n}") for n in range(12)}
