"""One command to many bots at once: what becomes of one changes nothing for the results of the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.rows import RowNotSaved
from django_cfg.apps.integrations.grpc.services.streaming import CommandOutcome, CommandResult
from django_cfg.errors import RPCError

__all__ = ["Result", "all_at_once"]

logger = logging.getLogger("django_cfg.grpc.fleet")

Result = CommandResult[pb2.AgentMessage]
Client = TypeVar("Client")


async def all_at_once(
    clients: Iterable[Client], id_of: Callable[[Client], str], send: Callable[[Client], Awaitable[Result]]
) -> dict[str, Result]:
    """Results by agent id; an exception is logged, and stands in the `detail` of its result.

    Raises ValueError, before anything is sent, for an agent that is given twice.
    """
    by_id: dict[str, Client] = {}
    for client in clients:
        if id_of(client) in by_id:
            raise ValueError(f"agent {id_of(client)!a} is given twice, and would run the command twice")
        by_id[id_of(client)] = client
    found = await asyncio.gather(*map(send, by_id.values()), return_exceptions=True)
    return {agent_id: _result(agent_id, one) for agent_id, one in zip(by_id, found, strict=True)}


def _result(agent_id: str, found: Result | BaseException) -> Result:
    if isinstance(found, CommandResult):
        return found
    logger.error("the command to agent %a failed", agent_id, exc_info=found)
    if isinstance(found, RowNotSaved):
        return replace(found.result, detail=str(found))
    refused = isinstance(found, RPCError)  # a lost call is a result: what is raised, the server has not let through
    outcome = CommandOutcome.NOT_CONNECTED if refused else CommandOutcome.OUTCOME_UNKNOWN
    detail = f"{type(found).__name__}: {found}"
    return CommandResult(outcome, "", agent_id, detail=detail, may_have_run=not refused)
