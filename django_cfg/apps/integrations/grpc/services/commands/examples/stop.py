"""STOP: a bot finishes what it has begun, within a time that the caller sets, and stops."""

from __future__ import annotations

import math

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.commands.examples.rows import save
from django_cfg.apps.integrations.grpc.services.commands.examples.start import HasStatus
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult

__all__ = ["stop_client"]


async def stop_client(
    client: FleetCommandClient,
    *,
    model: HasStatus | None = None,
    reason: str = "",
    grace_seconds: float | None = None,
    command_id: str = "",
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> CommandResult[pb2.AgentMessage]:
    """`model.status` becomes "stopped" when the bot has said that it has stopped, and stays as it is otherwise.

    The bot's `grace_seconds` are waited for on top of `timeout`; ValueError for such as nobody can wait.
    """
    if grace_seconds is not None and not 0 <= grace_seconds < math.inf:
        raise ValueError(f"grace_seconds must be a number of seconds from 0 on, not {grace_seconds!r}")
    stop = pb2.Stop(reason=reason, grace_seconds=grace_seconds)
    command = pb2.Command(command_id=command_id or new_command_id(), stop=stop)
    answer_seconds = client.config.call_timeout if timeout is None else timeout
    result = await client.execute_command(command, answer_seconds + (grace_seconds or 0.0))
    if result.ok and model is not None:
        model.status = "stopped"
        await save(model, "status", result)
    return result
