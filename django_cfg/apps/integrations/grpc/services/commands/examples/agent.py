"""An agent to copy: it stays connected, runs each command once, and says truthfully what became of it.

`python -m django_cfg.apps.integrations.grpc.services.commands.examples.agent --id bot-1 --address 127.0.0.1:50051`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple

import grpc

from django_cfg.apps.integrations.grpc.channel_options import client_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import channel_credentials
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.admission import Admission
from django_cfg.apps.integrations.grpc.services.commands.examples.bot import Bot, Refused
from django_cfg.apps.integrations.grpc.services.commands.examples.journal import Journal

if TYPE_CHECKING:
    from django_cfg.apps.integrations.grpc.services.commands.examples.fleet_pb2_grpc import FleetAsyncStub

__all__ = ["Agent", "Rejected", "backoff_seconds", "content_of"]

logger = logging.getLogger("fleet.agent")

VERSION = "1.0.0"
MOST_WAITING = 100
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
FINAL = (
    grpc.StatusCode.ABORTED,  # another process took this agent's place: coming back would take it from that one
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)


class Rejected(Exception):
    """The server will not have this agent, however often it comes back."""


class Received(NamedTuple):
    """A command that waits for its turn; `at` is when it came, on the monotonic clock."""

    command: pb2.Command
    stream: Stream
    late_seconds: float
    at: float


class Stream:
    """What goes to the server on one stream."""

    def __init__(self, agent_id: str) -> None:
        self.admission = Admission(agent_id)
        self._agent_id = agent_id
        self._outgoing: asyncio.Queue[pb2.AgentMessage | None] = asyncio.Queue()

    def send(self, **payload: pb2.Hello | pb2.Pong | pb2.Report) -> None:
        self._outgoing.put_nowait(pb2.AgentMessage(agent_id=self._agent_id, **payload))  # type: ignore[arg-type]

    def end(self) -> None:
        """After what has been sent."""
        self._outgoing.put_nowait(None)

    async def outgoing(self) -> AsyncIterator[pb2.AgentMessage]:
        while (message := await self._outgoing.get()) is not None:
            yield message


class Agent:
    """Commands run one after the other, whatever becomes of the stream that they came by."""

    def __init__(self, agent_id: str, stub: FleetAsyncStub, bot: Bot, journal: Journal, token: str = "") -> None:
        self._agent_id = agent_id
        self._stub = stub
        self._bot = bot
        self._journal = journal
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._waiting: asyncio.Queue[Received] = asyncio.Queue(MOST_WAITING)
        self._stream: Stream | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled; raises Rejected, or what the journal raises: without it no command may be begun."""
        tasks = asyncio.create_task(self._stay_connected()), asyncio.create_task(self._work())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for task in tasks:
                task.cancel()

    async def _stay_connected(self) -> None:
        while True:
            back_in = await self._connect()
            await asyncio.sleep(back_in)

    async def _connect(self) -> float:
        """One stream from its beginning to its end; after how many seconds to come back."""
        self._stream = stream = Stream(self._agent_id)
        stream.send(hello=pb2.Hello(version=VERSION, state=self._bot.state))
        try:
            return await self._listen(stream)
        except grpc.aio.AioRpcError as error:
            if error.code() in FINAL:
                raise Rejected(f"{error.code().name}: {error.details()}") from error
            logger.warning("%s: %s %s", self._agent_id, error.code().name, error.details())
        finally:
            self._stream = None
        self._failures += 1
        return backoff_seconds(self._failures)

    async def _listen(self, stream: Stream) -> float:
        call = self._stub.Connect(stream.outgoing(), metadata=self._metadata)
        back_in = 0.0
        async for message in call:
            is_known = stream.admission.epoch is not None
            late_seconds = stream.admission.late_seconds(message, time.monotonic())
            if not is_known and stream.admission.epoch is not None:
                logger.info("%s: connected, epoch %d", self._agent_id, stream.admission.epoch)
                self._failures = 0
            match message.WhichOneof("body"):
                case "ping":
                    stream.send(pong=pb2.Pong())
                case "reconnect":
                    back_in = message.reconnect.after_seconds
                    logger.info("%s: the server asks to come back in %.2f s", self._agent_id, back_in)
                    self._leaving = asyncio.create_task(self._leave(stream))
                case _:
                    self._take(Received(message, stream, late_seconds, time.monotonic()))
        return back_in or backoff_seconds(1)

    async def _leave(self, stream: Stream) -> None:
        await self._waiting.join()
        stream.end()

    def _take(self, received: Received) -> None:
        try:
            self._waiting.put_nowait(received)
        except asyncio.QueueFull:
            self._report(received, pb2.Report.REJECTED, f"{MOST_WAITING} commands wait already")

    async def _work(self) -> None:
        while True:
            received = await self._waiting.get()
            try:
                await self._handle(received)
            finally:
                self._waiting.task_done()

    async def _handle(self, received: Received) -> None:
        """Everything is judged as its turn comes: a command may have expired while others ran."""
        if received.stream is not self._stream:
            return  # the server has told its caller that the outcome is unknown
        command, late_seconds = received.command, received.late_seconds + time.monotonic() - received.at
        if refusal := received.stream.admission.refusal(command, late_seconds):
            logger.info("%s: refused %s: %s", self._agent_id, command.command_id, refusal)
            self._report(received, pb2.Report.REJECTED, refusal)
        elif self._journal.begin(command.command_id, content := content_of(command)):
            await self._execute(received)
        elif not self._journal.is_same(command.command_id, content):
            self._report(received, pb2.Report.REJECTED, "another command has had this id: give each its own")
        else:
            self._repeat(received)

    async def _execute(self, received: Received) -> None:
        command = received.command
        logger.info("%s: %s %s", self._agent_id, command.WhichOneof("body"), command.command_id)
        self._report(received, pb2.Report.ACKNOWLEDGED)
        try:
            report = self._report_of(command, pb2.Report.COMPLETED, await self._bot.execute(command))
        except Refused as refused:
            report = self._report_of(command, pb2.Report.REJECTED, str(refused))
        except Exception:
            logger.exception("%s: %s failed", self._agent_id, command.command_id)
            report = self._report_of(command, pb2.Report.REJECTED, "the bot failed at it; its log says why")
        self._journal.end(command.command_id, report.SerializeToString())
        self._send(report)

    def _repeat(self, received: Received) -> None:
        """The answer of the first time; the acknowledgement before it says that the command has been begun."""
        logger.info("%s: %s comes again", self._agent_id, received.command.command_id)
        self._report(received, pb2.Report.ACKNOWLEDGED)
        stored = self._journal.report(received.command.command_id)
        if stored is None:
            self._report(received, pb2.Report.REJECTED, "the agent ended while it ran; it is not begun again")
        else:
            self._send(pb2.Report.FromString(stored))

    def _report(self, received: Received, stage: pb2.Report.Stage, detail: str = "") -> None:
        self._send(self._report_of(received.command, stage, detail))

    def _report_of(self, command: pb2.Command, stage: pb2.Report.Stage, detail: str) -> pb2.Report:
        return pb2.Report(
            command_id=command.command_id, stage=stage, detail=detail, state=self._bot.state, config=self._bot.config
        )

    def _send(self, report: pb2.Report) -> None:
        """On the stream of now: the one that brought the command may have ended while it ran."""
        if self._stream is not None:
            self._stream.send(report=report)


def content_of(command: pb2.Command) -> bytes:
    """What is to be done: the same for a command that is sent again."""
    content = pb2.Command()
    content.CopyFrom(command)
    for field in ("command_id", "agent_id", "epoch", "sent_at_ms", "expires_in_ms"):
        content.ClearField(field)
    return content.SerializeToString(deterministic=True)


def backoff_seconds(failures: int) -> float:
    """Full jitter: agents that lost their server together do not come back together."""
    most = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 1, 16))
    return random.uniform(0.0, most)  # noqa: S311 - no secret


async def serve(arguments: argparse.Namespace) -> None:
    """One agent until SIGTERM or SIGINT; raises Rejected."""
    config = GRPCConfig(server_ca=arguments.ca, client_certificate=arguments.certificate, client_key=arguments.key)
    credentials, options = channel_credentials(config), client_options(config, arguments.address)
    channel = (
        grpc.aio.insecure_channel(arguments.address, options)
        if credentials is None
        else grpc.aio.secure_channel(arguments.address, credentials, options)
    )
    async with channel:
        stub: FleetAsyncStub = pb2_grpc.FleetStub(channel)  # type: ignore[assignment]
        bot, journal = Bot(arguments.start_seconds), Journal(arguments.journal)
        agent = asyncio.create_task(Agent(arguments.id, stub, bot, journal, os.environ.get("FLEET_TOKEN", "")).run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, agent.cancel)
        with contextlib.closing(journal), contextlib.suppress(asyncio.CancelledError):
            await agent


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An example agent. Its token, if any, is in FLEET_TOKEN.")
    parser.add_argument("--id", required=True, help="who it is")
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of the server")
    parser.add_argument("--journal", default=":memory:", help="file that remembers commands over restarts")
    parser.add_argument("--start-seconds", type=float, default=0.0, help="how long a start takes")
    parser.add_argument("--ca", default="", help="PEM file of those who sign the server's certificate, for TLS")
    parser.add_argument("--certificate", default="", help="PEM file of its own certificate, for mTLS")
    parser.add_argument("--key", default="", help="PEM file of the key of that certificate")
    return parser.parse_args(arguments)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        asyncio.run(serve(parse()))
    except Rejected as rejected:
        raise SystemExit(f"the server does not want this agent: {rejected}") from rejected


if __name__ == "__main__":
    main()
