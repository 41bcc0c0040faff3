"""Whatever becomes of one of many commands, its sender hears of all."""

from __future__ import annotations

import math
from typing import Any

import pytest

from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples.client import CommandClient, batch_start, batch_stop
from django_cfg.apps.integrations.grpc.services.commands.examples.config import batch_update_config, update_config
from django_cfg.apps.integrations.grpc.services.commands.examples.rows import RowNotSaved
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome
from django_cfg.errors import UnauthorizedError


class Row:
    status = "unknown"

    def __init__(self, *, is_deleted: bool = False) -> None:
        self.config: dict[str, Any] = {}
        self._is_deleted = is_deleted

    async def asave(self, *, update_fields: list[str]) -> None:
        if self._is_deleted:
            raise LookupError("the row was deleted")


class Unwelcome(FleetCommandClient):
    async def execute_command(self, *given: Any, **options: Any) -> Any:
        raise UnauthorizedError("no credentials")


class Broken(FleetCommandClient):
    async def execute_command(self, *given: Any, **options: Any) -> Any:
        raise ZeroDivisionError("a mistake")


async def test_one_failure_loses_no_result_of_the_others(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    for agent_id in ("bot-2", "bot-3"):
        serving.connect(agent_id)
    clients = [*map(FleetCommandClient, ("bot-1", "bot-2", "bot-9")), Unwelcome("bot-7"), Broken("bot-8")]
    rows = {"bot-1": Row(is_deleted=True), "bot-2": Row()}

    found = await batch_update_config(clients, {"batch_size": 2}, models=rows)

    assert {agent_id: (result.outcome, result.may_have_run) for agent_id, result in found.items()} == {
        "bot-1": (CommandOutcome.COMPLETED, True),
        "bot-2": (CommandOutcome.COMPLETED, True),
        "bot-9": (CommandOutcome.NOT_CONNECTED, False),
        "bot-7": (CommandOutcome.NOT_CONNECTED, False),
        "bot-8": (CommandOutcome.OUTCOME_UNKNOWN, True),
    }
    assert rows["bot-2"].config == {"batch_size": 2}
    assert "the row was deleted" in found["bot-1"].detail
    assert found["bot-8"].detail == "ZeroDivisionError: a mistake"
    assert caplog.text.count("the command to agent") == 3

    started = await batch_start([CommandClient("bot-1", model=Row(is_deleted=True)), CommandClient("bot-3")])
    assert [result.outcome for result in started.values()] == [CommandOutcome.COMPLETED] * 2


async def test_nothing_is_sent_where_one_agent_is_given_twice(serving: Serving) -> None:
    for send in (batch_start, batch_stop):
        with pytest.raises(ValueError, match="agent 'bot-1' is given twice"):
            await send([CommandClient("bot-1"), CommandClient("bot-1")])
    with pytest.raises(ValueError, match="agent 'bot-1' is given twice"):
        await batch_update_config([FleetCommandClient("bot-1"), FleetCommandClient("bot-1")], {"batch_size": 1})
    with pytest.raises(ValueError, match="changes are empty"):
        await batch_update_config([FleetCommandClient("bot-1")], {})
    assert serving.servicer.requests == []


async def test_a_row_that_cannot_be_saved_does_not_hide_that_the_command_has_run(serving: Serving) -> None:
    with pytest.raises(RowNotSaved, match="the row was deleted") as raised:
        await CommandClient("bot-1", model=Row(is_deleted=True)).start()
    assert raised.value.result.outcome is CommandOutcome.COMPLETED


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"batch_size": None}, TypeError),
        ({"interval_seconds": math.inf}, ValueError),
        ({"interval_seconds": math.nan}, ValueError),
    ],
)
async def test_values_that_no_bot_can_take_are_not_sent(serving: Serving, changes: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await update_config(FleetCommandClient("bot-1"), changes, model=Row())
    for grace in (math.inf, math.nan, -1):
        with pytest.raises(ValueError, match="grace_seconds"):
            await CommandClient("bot-1").stop(grace_seconds=grace)
    assert serving.servicer.requests == []


async def test_an_id_of_another_command_is_refused(serving: Serving) -> None:
    client = CommandClient("bot-1")
    assert (await client.start(command_id="k")).outcome is CommandOutcome.COMPLETED
    again = await client.start(command_id="k")
    stopped = await client.stop(command_id="k")

    assert again.outcome is CommandOutcome.COMPLETED
    assert (stopped.outcome, stopped.may_have_run) == (CommandOutcome.REJECTED, False)
    assert "another command has had this id" in stopped.detail
