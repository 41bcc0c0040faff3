"""The example's agent as a process, which writes down what comes and what it does: `--id bot-1 --address host:port`.

Its ledger and its journal are in the working directory, so a second process under one id shares them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
import uuid
from pathlib import Path

import grpc

from django_cfg.apps.integrations.grpc.channel_options import client_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import agent as example
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.bot import Bot
from django_cfg.apps.integrations.grpc.services.commands.examples.journal import Journal
from tests.faults.ledger import Ledger
from tests.grpc.chaos.ledger import KINDS, Effect, Receipt, Run

LONGEST_BACKOFF_SECONDS = 2.0


class NotingBot(Bot):
    """A start takes as many seconds as its reason says."""

    def __init__(self, agent_id: str, ledger: Ledger) -> None:
        super().__init__()
        self._agent_id = agent_id
        self._ledger = ledger

    async def execute(self, command: pb2.Command) -> str:
        """The number of the run."""
        run = uuid.uuid4().hex
        self._ledger.note(Run(command.command_id, run, self._agent_id, command.epoch, time.time()))
        await asyncio.sleep(float(command.start.reason))
        self._ledger.note(Effect(command.command_id, run))
        return run


class NotingAgent(example.Agent):
    def __init__(self, agent_id: str, stub: pb2_grpc.FleetStub, ledger: Ledger, journal: Path) -> None:
        super().__init__(agent_id, stub, NotingBot(agent_id, ledger), Journal(str(journal)))  # type: ignore[arg-type]
        self._ledger = ledger

    def _take(self, received: example.Received) -> None:
        command = received.command
        self._ledger.note(
            Receipt(command.command_id, self._agent_id, command.agent_id, command.epoch, command.sent_at_ms)
        )
        super()._take(received)


async def serve(agent_id: str, address: str) -> None:
    ledger = Ledger(Path("ledger"), *KINDS)
    async with grpc.aio.insecure_channel(address, client_options(GRPCConfig())) as channel:
        await NotingAgent(agent_id, pb2_grpc.FleetStub(channel), ledger, Path(f"journal-{agent_id}")).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True)
    parser.add_argument("--address", required=True)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    example.LONGEST_BACKOFF_SECONDS = LONGEST_BACKOFF_SECONDS
    try:
        asyncio.run(serve(chosen.id, chosen.address))
    except example.Rejected as rejected:
        raise SystemExit(f"the server does not want this agent: {rejected}") from rejected


if __name__ == "__main__":
    main()
