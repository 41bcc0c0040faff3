"""CONFIG_UPDATE: only the fields that are given change, for one bot or for many at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient, new_command_id
from django_cfg.apps.integrations.grpc.services.commands.examples.batch import all_at_once
from django_cfg.apps.integrations.grpc.services.commands.examples.rows import CanBeSaved, save
from django_cfg.apps.integrations.grpc.services.streaming import CommandResult

__all__ = ["HasConfig", "batch_update_config", "update_config"]

Changes = Mapping[str, float | int | str]


class HasConfig(CanBeSaved, Protocol):
    """A Django model with a JSONField `config`, or whatever else keeps one and can be saved."""

    config: Any


async def update_config(
    client: FleetCommandClient,
    changes: Changes,
    *,
    model: HasConfig | None = None,
    command_id: str = "",
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> CommandResult[pb2.AgentMessage]:
    """`changes` are fields of AgentConfig by name; `model.config` gets them when the bot has taken them.

    Raises ValueError for a name that AgentConfig does not have or no finite number, TypeError for a value that does not
    fit, RowNotSaved.
    """
    update = pb2.ConfigUpdate(changes=_agent_config(changes))
    command = pb2.Command(command_id=command_id or new_command_id(), config_update=update)
    result = await client.execute_command(command, timeout)
    if result.ok and model is not None:
        model.config = {**(model.config or {}), **changes}
        await save(model, "config", result)
    return result


async def batch_update_config(
    clients: Iterable[FleetCommandClient],
    changes: Changes,
    *,
    models: Mapping[str, HasConfig] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the server keeps to it as well
) -> dict[str, CommandResult[pb2.AgentMessage]]:
    """Results by agent id, as of `all_at_once`; no bot waits for a slower one. `models` are those of agents by id."""
    known = models or {}
    _agent_config(changes)  # what fits no bot is sent to none
    return await all_at_once(
        clients,
        lambda one: one.client_id,
        lambda one: update_config(one, changes, model=known.get(one.client_id), timeout=timeout),
    )


def _agent_config(changes: Changes) -> pb2.AgentConfig:
    if not changes:
        raise ValueError("changes are empty: name at least one field of AgentConfig")
    for name, value in changes.items():
        if value is None:  # pyright: ignore[reportUnnecessaryComparison] - protobuf would take it for a field left out
            raise TypeError(f"{name} is None: leave it out to keep what the bot has")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value!r}")
    return pb2.AgentConfig(**dict(changes))  # type: ignore[arg-type]
