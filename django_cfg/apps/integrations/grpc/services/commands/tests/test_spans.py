"""One trace from whoever gives a command to the command's end, over the boundary of the processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving
from django_cfg.errors import InvalidParamsError
from django_cfg.rpc import tracing
from django_cfg.rpc.tests.spans import recorded_spans

METHOD = "django_cfg.fleet.v1.Fleet/SendCommandToClient"


def start(command_id: str) -> pb2.Command:
    return pb2.Command(command_id=command_id, start=pb2.Start())


def by_name(spans: list[Any]) -> dict[str, Any]:
    return {span.name: span for span in spans}


@pytest.mark.parametrize("is_async", [False, True])
def test_the_servers_work_is_within_the_clients_call(serving: Serving, is_async: bool) -> None:
    client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
    with recorded_spans() as spans:
        if is_async:
            result = asyncio.run(client.execute_command(start("traced")))
        else:
            result = client.execute_command_sync(start("traced"))

    assert result.ok
    found = by_name(spans)
    call, served, executed = found["SendCommandToClient"], found[METHOD], found["execute_command"]
    assert (call.kind, served.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert served.parent.span_id == call.context.span_id
    assert executed.parent.span_id == served.context.span_id
    assert {span.context.trace_id for span in spans} == {call.context.trace_id}
    assert call.attributes["rpc.correlation_id"] == executed.attributes["rpc.correlation_id"] == "traced"


def test_a_refused_call_is_an_error_at_both_ends(serving: Serving) -> None:
    client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
    with recorded_spans() as spans:
        with pytest.raises(InvalidParamsError):
            client.execute_command_sync(start(""))
        serving.stop()  # a client hears of a refusal before the server's span ends

    found = by_name(spans)
    assert found["SendCommandToClient"].attributes["error.type"] == "invalid_params"
    assert found[METHOD].attributes["error.type"] == "INVALID_ARGUMENT"
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}


def test_nothing_is_sent_along_where_nobody_records(serving: Serving) -> None:
    client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
    assert client.send_command_sync(start("plain"))

    assert "traceparent" not in serving.servicer.metadata[-1]


def test_a_bad_header_costs_nothing_but_the_parent(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
    monkeypatch.setattr(tracing, "_propagator", Nonsense(tracing._propagator))  # pyright: ignore[reportPrivateUsage]
    with recorded_spans() as spans:
        assert client.execute_command_sync(start("odd")).ok

    assert by_name(spans)[METHOD].parent is None


class Nonsense:
    """Writes what nobody can read."""

    def __init__(self, real: Any) -> None:
        self.extract = real.extract

    def inject(self, carrier: dict[str, str], context: object) -> None:
        carrier["traceparent"] = "00-zz-\u00ffnonsense".encode("ascii", "ignore").decode()
