"""`python -m benchmarks.grpc_caller KIND`: a process without streams that gives commands; each line is `PORT N`.

`async` and `sync` wait for the agent's word, `view` sends from a synchronous Django view; each beside its floor, and
the view beside the way without a kept channel.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Any

import grpc
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from benchmarks.grpc_server import percentiles
from django_cfg.apps.integrations.grpc.services.commands.base import CommandClientConfig
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2_grpc as pb2_grpc
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient

AGENTS = 1000
WARM_UP = 10
SECONDS = 30.0


def new_commands() -> Iterator[tuple[str, pb2.Command]]:
    for number in itertools.count():
        yield f"a{number % AGENTS}", pb2.Command(command_id=f"{time.time_ns()}", start=pb2.Start())


_commands = new_commands()


def request_of(agent_id: str, command: pb2.Command, wait_for: str) -> pb2.SendCommandRequest:
    return pb2.SendCommandRequest(client_id=agent_id, command=command, wait_for=wait_for, timeout_ms=30_000)


@lru_cache
def config_of(port: int) -> CommandClientConfig:
    return CommandClientConfig(grpc_host="127.0.0.1", grpc_port=port)


def client_of(agent_id: str, port: int) -> FleetCommandClient:
    return FleetCommandClient(agent_id, config=config_of(port))


@lru_cache
def sync_floor(port: int) -> Callable[[], Any]:
    stub = pb2_grpc.FleetStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def call() -> None:
        stub.SendCommandToClient(request_of(*next(_commands), "completed"), timeout=SECONDS)

    return call


def sync_ours(port: int) -> Callable[[], Any]:
    def call() -> None:
        agent_id, command = next(_commands)
        client_of(agent_id, port).execute_command_sync(command, SECONDS).raise_for_outcome()

    return call


@lru_cache
def async_floor(port: int) -> Callable[[], Awaitable[Any]]:
    stub: Any = pb2_grpc.FleetStub(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

    async def call() -> None:
        await stub.SendCommandToClient(request_of(*next(_commands), "completed"), timeout=SECONDS)

    return call


def async_ours(port: int) -> Callable[[], Awaitable[Any]]:
    async def call() -> None:
        agent_id, command = next(_commands)
        (await client_of(agent_id, port).execute_command(command, SECONDS)).raise_for_outcome()

    return call


def quiet() -> tuple[str, pb2.Command]:
    """A command to which agents have nothing to say."""
    agent_id, command = next(_commands)
    command.stop.reason = "x"
    return agent_id, command


def must_accept(accepted: bool) -> None:
    if not accepted:
        raise SystemExit("a command was not accepted")


@lru_cache
def sync_sending_floor(port: int) -> Callable[[], Any]:
    stub = pb2_grpc.FleetStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def call() -> None:
        must_accept(stub.SendCommandToClient(request_of(*quiet(), ""), timeout=SECONDS).success)

    return call


def sync_sending(port: int) -> Callable[[], Any]:
    def call() -> None:
        agent_id, command = quiet()
        must_accept(client_of(agent_id, port).send_command_sync(command))

    return call


@lru_cache
def async_sending_floor(port: int) -> Callable[[], Awaitable[Any]]:
    stub: Any = pb2_grpc.FleetStub(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

    async def call() -> None:
        must_accept((await stub.SendCommandToClient(request_of(*quiet(), ""), timeout=SECONDS)).success)

    return call


def async_sending(port: int) -> Callable[[], Awaitable[Any]]:
    async def call() -> None:
        agent_id, command = quiet()
        must_accept(await client_of(agent_id, port).send_command(command))

    return call


def channel_per_command(port: int) -> Callable[[HttpRequest], HttpResponse]:
    async def send(agent_id: str, command: pb2.Command) -> bool:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = pb2_grpc.FleetStub(channel)
            response = await stub.SendCommandToClient(request_of(agent_id, command, ""), timeout=SECONDS)
            return bool(response.success)

    return lambda request: HttpResponse(str(async_to_sync(send)(*quiet())))


def kept_channel(port: int) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        agent_id, command = quiet()
        return HttpResponse(str(client_of(agent_id, port).send_command_sync(command)))

    return view


def viewed(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[], Any]:
    request = RequestFactory().post("/start")

    def call() -> None:
        must_accept(view(request).content == b"True")

    return call


async def awaited(call: Callable[[], Awaitable[Any]], calls: int) -> list[float]:
    took: list[float] = []
    for _ in range(WARM_UP + calls):
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)
    return took[WARM_UP:]


def called(call: Callable[[], Any], calls: int) -> list[float]:
    took: list[float] = []
    for _ in range(WARM_UP + calls):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took[WARM_UP:]


SYNC: dict[str, Callable[[int], Callable[[], Any]]] = {
    "sync floor": sync_floor,
    "sync ours": sync_ours,
    "sending floor": sync_sending_floor,
    "sending ours": sync_sending,
    "view floor": lambda port: viewed(channel_per_command(port)),
    "view ours": lambda port: viewed(kept_channel(port)),
}
ASYNC: dict[str, Callable[[int], Callable[[], Awaitable[Any]]]] = {
    "async floor": async_floor,
    "async ours": async_ours,
    "async-sending floor": async_sending_floor,
    "async-sending ours": async_sending,
}


async def main_async(kind: str) -> None:
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, calls = map(int, line.split())
        print(json.dumps(percentiles(await awaited(ASYNC[kind](port), calls))), flush=True)


def main(kind: str) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        port, calls = map(int, line.split())
        print(json.dumps(percentiles(called(SYNC[kind](port), calls))), flush=True)


if __name__ == "__main__":
    asyncio.run(main_async(sys.argv[1])) if sys.argv[1] in ASYNC else main(sys.argv[1])
