"""The example's servicer, which writes down each stream; for an app's grpc_handlers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import SERVICE_NAME
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.commands.registry import register_streaming_service
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig
from tests.faults.ledger import Ledger
from tests.grpc.chaos.ledger import Stream


class NotingServicer(FleetServicer):
    def __init__(self, config: BidirectionalStreamingConfig) -> None:
        super().__init__(config)
        self._ledger = Ledger(Path("ledger"), Stream)

    async def _greet(self, client_id: str) -> None:
        streams = [Stream(one.agent_id, one.epoch) for one in self._streaming_service.agents()]
        await asyncio.to_thread(self._ledger.note, *(stream for stream in streams if stream.agent == client_id))
        await super()._greet(client_id)


def add_fleet(server: grpc.aio.Server, **streaming: Any) -> None:
    """As the example's grpc_handlers, with options of BidirectionalStreamingConfig."""
    servicer = NotingServicer(BidirectionalStreamingConfig(**streaming))
    pb2_grpc.add_FleetServicer_to_server(servicer, server)
    register_streaming_service(SERVICE_NAME, servicer._streaming_service)  # pyright: ignore[reportPrivateUsage]
