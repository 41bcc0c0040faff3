"""What probes and Prometheus are answered, and which addresses are understood."""

from __future__ import annotations

import asyncio

import pytest

from django_cfg.errors import ConfigurationError
from django_cfg.rpc import metrics
from django_cfg.rpc.health import Probes, answer, serving_health
from django_cfg.rpc.listening import bind, parse_address
from django_cfg.rpc.logs import about

WELL = Probes(alive=lambda: "", ready=lambda: "")
UNWELL = Probes(alive=lambda: "nothing has been read for 31 s", ready=lambda: "draining")


@pytest.mark.parametrize(
    ("line", "probes", "status", "body"),
    [
        ("GET /livez HTTP/1.1", WELL, "200 OK", "ok\n"),
        ("GET /readyz?verbose HTTP/1.1", WELL, "200 OK", "ok\n"),
        ("GET /livez HTTP/1.1", UNWELL, "503 Service Unavailable", "nothing has been read for 31 s\n"),
        ("GET /readyz HTTP/1.0", UNWELL, "503 Service Unavailable", "draining\n"),
        ("HEAD /livez HTTP/1.1", WELL, "200 OK", ""),
        ("POST /livez HTTP/1.1", WELL, "405 Method Not Allowed", "GET only\n"),
        ("GET /secrets HTTP/1.1", WELL, "404 Not Found", "here are /livez, /readyz and /metrics\n"),
        ("", WELL, "405 Method Not Allowed", "GET only\n"),
    ],
)
def test_answers(line: str, probes: Probes, status: str, body: str) -> None:
    head, _, found = answer(line, probes).decode().partition("\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status}\r\n")
    assert found == body


def test_metrics_say_what_is_missing_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ENABLED", False)

    response = answer("GET /metrics HTTP/1.1", WELL)

    assert response.startswith(b"HTTP/1.1 501 ")
    assert b'pip install "django-cfg-realtime[metrics]"' in response


async def test_a_real_socket_is_answered_and_a_silent_client_does_no_harm() -> None:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serving_health(listener, WELL):
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await reader.read()).endswith(b"\r\n\r\nok\n")

        silent.write(b"x" * 10_000)
        for one in (silent, writer):
            one.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),  # noqa: S104 - whoever wants that says it
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "::1:9100", "host:70000", "host:-1", "host:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write HOST:PORT"):
        parse_address(text)


def test_log_fields_cannot_forge_a_line() -> None:
    fields = about(method="a", correlation_id="1\nERROR forged\x1b[31m" + "x" * 500)

    assert fields["correlation_id"].startswith(r"1\nERROR forged\x1b[31m")
    assert len(fields["correlation_id"]) <= 128
    assert fields == {"method": "a", "server": "", "client": "", "correlation_id": fields["correlation_id"]}
