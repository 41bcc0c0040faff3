"""What a server's answer means for a command, whoever has written that server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Recording, served
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome
from django_cfg.apps.integrations.grpc.services.streaming.commands import WaitFor
from django_cfg.errors import CommandOutcomeUnknownError

NEVER_SENT = "failed to connect to all addresses; last error: UNKNOWN: Connection refused"
REFUSED = "Received RST_STREAM with error code 7"


@pytest.mark.parametrize("text", [NEVER_SENT, REFUSED])
async def test_nothing_that_has_run_is_sent_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servicer has called another server, which is down, and passes on what it was told."""
    runs: list[str] = []

    async def pass_on(self: object, request: pb2.SendCommandRequest, context: Any) -> None:
        runs.append(request.command.command_id)
        await context.abort(grpc.StatusCode.UNAVAILABLE, text)

    monkeypatch.setattr(Recording, "SendCommandToClient", pass_on)
    with served(GRPCConfig()) as serving:
        client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
        in_thread = await asyncio.to_thread(client.execute_command_sync, pb2.Command(command_id="1"), 5.0)
        results = [in_thread, *[await client.execute_command(pb2.Command(command_id=one), 5.0) for one in "234"]]
        with pytest.raises(CommandOutcomeUnknownError):
            await client.send_command(pb2.Command(command_id="5"))

    assert {(result.outcome, result.may_have_run) for result in results} == {(CommandOutcome.OUTCOME_UNKNOWN, True)}
    assert runs == list("12345")


@pytest.mark.parametrize(
    ("said", "wait_for", "outcome", "may_have_run"),
    [
        ("delivered", "completed", CommandOutcome.OUTCOME_UNKNOWN, True),
        ("delivered", "acknowledged", CommandOutcome.OUTCOME_UNKNOWN, True),
        ("acknowledged", "completed", CommandOutcome.OUTCOME_UNKNOWN, True),
        ("acknowledged", "acknowledged", CommandOutcome.ACKNOWLEDGED, True),
        ("completed", "acknowledged", CommandOutcome.COMPLETED, True),
        ("rejected", "completed", CommandOutcome.REJECTED, False),
        ("finished", "completed", CommandOutcome.OUTCOME_UNKNOWN, True),
    ],
)
def test_a_server_that_does_not_wait_tells_nothing_of_the_end(
    said: str, wait_for: WaitFor, outcome: CommandOutcome, may_have_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of before, or of somebody's own: it does not know the field, or leaves others empty."""

    async def answer(self: object, request: object, context: object) -> pb2.SendCommandResponse:
        return pb2.SendCommandResponse(success=True, outcome=said)

    monkeypatch.setattr(Recording, "SendCommandToClient", answer)
    with served(GRPCConfig()) as serving:
        client = FleetCommandClient("bot-1", grpc_host="127.0.0.1", grpc_port=serving.port)
        result = client.execute_command_sync(pb2.Command(command_id="1"), 5.0, wait_for=wait_for)

    assert (result.outcome, result.may_have_run) == (outcome, may_have_run)
    assert result.ok is (outcome is not CommandOutcome.OUTCOME_UNKNOWN and said != "rejected")
