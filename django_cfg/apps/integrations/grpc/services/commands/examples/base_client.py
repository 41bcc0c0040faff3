"""The client of the fleet's protocol, in both modes: what `stub_class` and the attributes beside it are for."""

from __future__ import annotations

import uuid

from django_cfg.apps.integrations.grpc.services.commands.base import StreamingCommandClient
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc

__all__ = ["SERVICE_NAME", "FleetCommandClient", "new_command_id"]

SERVICE_NAME = "fleet"


class FleetCommandClient(StreamingCommandClient[pb2.Command]):
    """Commands to one bot; in the server's own process they go straight to its queue."""

    stub_class = pb2_grpc.FleetStub
    request_class = pb2.SendCommandRequest
    service_name = SERVICE_NAME


def new_command_id() -> str:
    """By this an agent knows a command that comes a second time; keep it to try the same command again."""
    return uuid.uuid4().hex
