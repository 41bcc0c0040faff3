from __future__ import annotations

import pickle

import pytest

from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome, CommandResult
from django_cfg.errors import (
    ClientNotConnectedError,
    CommandError,
    CommandOutcomeUnknownError,
    CommandRejectedError,
    CommandTimeoutError,
    RPCErrorCode,
)

GOOD = {CommandOutcome.DELIVERED, CommandOutcome.ACKNOWLEDGED, CommandOutcome.COMPLETED}
ERRORS = {
    CommandOutcome.REJECTED: (CommandRejectedError, RPCErrorCode.APPLICATION_ERROR),
    CommandOutcome.NOT_CONNECTED: (ClientNotConnectedError, RPCErrorCode.USER_NOT_CONNECTED),
    CommandOutcome.TIMED_OUT: (CommandTimeoutError, RPCErrorCode.TIMEOUT),
    CommandOutcome.OUTCOME_UNKNOWN: (CommandOutcomeUnknownError, RPCErrorCode.OUTCOME_UNKNOWN),
}


@pytest.mark.parametrize("outcome", CommandOutcome)
def test_every_outcome_is_either_good_or_an_error(outcome: CommandOutcome) -> None:
    result = CommandResult[str](outcome, "1", "a", detail="why", may_have_run=True)

    assert result.ok == (outcome in GOOD)
    if result.ok:
        result.raise_for_outcome()
        return
    kind, code = ERRORS[outcome]
    with pytest.raises(CommandError) as caught:
        result.raise_for_outcome()
    assert (type(caught.value), caught.value.code, caught.value.retryable) == (kind, code, False)
    assert caught.value.details == {"command_id": "1", "agent_id": "a", "may_have_run": True}
    assert str(caught.value).endswith(": why")


@pytest.mark.parametrize(
    ("outcome", "retryable"),
    [(CommandOutcome.NOT_CONNECTED, True), (CommandOutcome.TIMED_OUT, True), (CommandOutcome.REJECTED, False)],
)
def test_what_has_not_run_may_be_tried_again_unless_the_agent_refused_it(
    outcome: CommandOutcome, retryable: bool
) -> None:
    with pytest.raises(CommandError) as caught:
        CommandResult[str](outcome, "1", "a").raise_for_outcome()
    assert caught.value.retryable is retryable


def test_a_command_without_an_id_is_spoken_of_too() -> None:
    with pytest.raises(ClientNotConnectedError, match=r"^the command to agent a: not connected$"):
        CommandResult[str](CommandOutcome.NOT_CONNECTED, "", "a").raise_for_outcome()


def test_results_survive_pickling() -> None:
    result = CommandResult(CommandOutcome.COMPLETED, "1", "a", 5, {"message": 1}, "d", True, 0.5)

    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - made here
