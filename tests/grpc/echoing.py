"""A server in this process whose methods answer who the caller is, and calls of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from django_cfg.apps.integrations.grpc.channel_options import client_options
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import channel_credentials
from django_cfg.apps.integrations.grpc.identity import caller, caller_id
from django_cfg.apps.integrations.grpc.server import CommandServer

SECRET = "a-secret-for-tests-of-more-than-32-characters"
BOUND_SECONDS = 30.0


async def whoami(request: bytes, context: Any) -> bytes:
    return repr(caller(context)).encode()


async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes]:
    async for request in requests:
        yield request + str(caller_id(context)).encode()


async def held(requests: AsyncIterator[bytes], context: Any) -> None:
    """By the reader and writer of the context, as a handler may be written, too."""
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request + str(caller_id(context)).encode())


async def returned(requests: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes]:
    """As whoever adds `async` to a method that returns a stream."""
    return stream(requests, context)


async def upload(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"".join([request async for request in requests])


async def download(request: bytes, context: Any) -> AsyncGenerator[bytes]:
    for n in range(3):
        yield request + str(n).encode()


def synchronous(request: bytes, context: Any) -> bytes:
    return request


HANDLERS: dict[str, Any] = {
    "WhoAmI": grpc.unary_unary_rpc_method_handler(whoami),
    "Stream": grpc.stream_stream_rpc_method_handler(stream),
    "Held": grpc.stream_stream_rpc_method_handler(held),
    "Returned": grpc.stream_stream_rpc_method_handler(returned),
    "Upload": grpc.stream_unary_rpc_method_handler(upload),
    "Download": grpc.unary_stream_rpc_method_handler(download),
    "Synchronous": grpc.unary_unary_rpc_method_handler(synchronous),
}


@asynccontextmanager
async def serving(config: GRPCConfig, **handlers: Any) -> AsyncGenerator[str]:
    """The address."""
    server = CommandServer(config)
    given = {**HANDLERS, **handlers}
    server.grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", given)])
    port = await server.start("127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.drain(0)


def opened(config: GRPCConfig, address: str) -> grpc.aio.Channel:
    credentials, options = channel_credentials(config), client_options(config)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, credentials, options)


async def ask(config: GRPCConfig, address: str, *metadata: tuple[str, str]) -> str:
    """What a unary method answers: the caller that it sees."""
    async with opened(config, address) as channel:
        call: Any = channel.unary_unary("/test.Echo/WhoAmI")
        answer: bytes = await call(b"", metadata=metadata, timeout=BOUND_SECONDS)
        return answer.decode()


async def connect(
    config: GRPCConfig, address: str, *metadata: tuple[str, str], method: str = "Stream", message: bytes = b""
) -> str:
    """What a stream answers first: `message` and the agent's id that it sees."""
    async with opened(config, address) as channel:
        call: Any = channel.stream_stream(f"/test.Echo/{method}")(metadata=metadata, timeout=BOUND_SECONDS)
        await call.write(message)
        answer: bytes = await call.read()
        return answer.decode()


async def refusal(attempt: Any) -> tuple[grpc.StatusCode, str]:
    """The status with which a call ended that must not have succeeded."""
    try:
        answer = await attempt
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"it was allowed: {answer!r}")
