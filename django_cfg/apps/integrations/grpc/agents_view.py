"""Who is connected: a unary method of the server, with JSON, and the call of it from another process."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any, cast

import grpc

from django_cfg.apps.integrations.grpc.channel_options import client_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import channel_credentials, service_metadata
from django_cfg.apps.integrations.grpc.served import Served, all_services

__all__ = ["add_agents_view", "list_agents"]

SERVICE = "django_cfg.grpc.Agents"
METHOD = "ListAgents"
LARGEST_LIST_BYTES = 64 * 1024 * 1024


def add_agents_view(server: grpc.aio.Server, served: Served) -> None:
    """For services alone, as every unary method."""

    async def list_agents(request: bytes, context: object) -> bytes:
        return _listed(served)

    handlers = {METHOD: cast("Any", grpc.unary_unary_rpc_method_handler(cast("Any", list_agents)))}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])


def list_agents(config: GRPCConfig, address: str, timeout_seconds: float) -> list[dict[str, Any]]:
    """An object per agent: `service` and the fields of AgentStatus; raises grpc.RpcError."""
    larger = {"grpc.max_receive_message_length": LARGEST_LIST_BYTES}  # in its place: of two values the first counts
    options = list((dict(client_options(config, address)) | larger).items())
    credentials = channel_credentials(config)
    opened = (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    )
    with opened as channel:
        call = cast("Any", channel.unary_unary(f"/{SERVICE}/{METHOD}"))
        answer: bytes = call(b"", timeout=timeout_seconds, metadata=service_metadata(config))
    agents: list[dict[str, Any]] = json.loads(answer)["agents"]
    return agents


def _listed(served: Served) -> bytes:
    agents = [
        {"service": name, **dataclasses.asdict(agent)}
        for name, service in all_services(served)
        for agent in service.agents()
    ]
    return json.dumps({"agents": agents}, default=_as_text).encode()


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
