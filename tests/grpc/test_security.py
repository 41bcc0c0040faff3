"""What an enemy, or a fleet that misbehaves, cannot do; over real sockets."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.attempts import MOST_FAILURES
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.credentials import channel_credentials, server_credentials
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig
from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingService as Service
from django_cfg.apps.integrations.grpc.tokens import create_agent_token, create_service_token
from django_cfg.errors import ConfigurationError
from tests.grpc.certificates import Authority
from tests.grpc.echoing import BOUND_SECONDS, SECRET, ask, connect, opened, refusal, serving

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
TOKENS = GRPCConfig(agent_tokens="required", token_secret=SECRET)
OPEN = GRPCConfig()


@pytest.fixture(autouse=True)
def project_settings(settings: Any) -> None:
    settings.GRPC = TOKENS.to_django_settings()["GRPC"]


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


def streaming_service() -> tuple[Service[bytes, bytes], Any]:
    """A service whose messages are agents' ids, and its method's handler."""

    async def process(client_id: str, message: bytes, queue: Any) -> None:
        await queue.put(b"heard " + message)

    service: Service[bytes, bytes] = Service(BidirectionalStreamingConfig(), process, bytes.decode, lambda: b"ping")
    return service, grpc.stream_stream_rpc_method_handler(service.handle_stream)


async def claim(config: GRPCConfig, address: str, agent_id: str, *metadata: tuple[str, str]) -> str:
    """The first answer to a stream that claims that id."""
    return await connect(config, address, *metadata, method="Connect", message=agent_id.encode())


async def test_a_thief_with_another_valid_token_cannot_take_over_an_agent() -> None:
    service, handler = streaming_service()
    async with serving(TOKENS, Connect=handler) as address, opened(TOKENS, address) as channel:
        call: Any = channel.stream_stream("/test.Echo/Connect")
        owner = call(metadata=(bearer(create_agent_token("bot-1")),), timeout=BOUND_SECONDS)
        await owner.write(b"bot-1")
        assert await owner.read() == b"heard bot-1"

        thief = bearer(create_agent_token("bot-2"))
        code, _ = await refusal(claim(TOKENS, address, "bot-1", thief))

        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert await service.send_to_client("bot-1", b"for the owner")
        assert await owner.read() == b"for the owner"
        owner.cancel()


async def test_a_thief_with_another_valid_certificate_cannot_take_over_an_agent(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, bot_1, bot_2 = (authority.issue(*names) for names in (("localhost", "127.0.0.1"), ("bot-1",), ("bot-2",)))
    given = {"client_ca": str(authority.path), "server_ca": str(authority.path)}
    given |= {"tls_certificate": str(server.certificate), "tls_key": str(server.key)}
    owner, thief = (
        GRPCConfig(**given, client_certificate=str(pair.certificate), client_key=str(pair.key))
        for pair in (bot_1, bot_2)
    )
    _, handler = streaming_service()
    async with serving(owner, Connect=handler) as address:
        assert await claim(owner, address, "bot-1") == "heard bot-1"
        assert (await refusal(claim(thief, address, "bot-1")))[0] is grpc.StatusCode.PERMISSION_DENIED
        assert await claim(thief, address, "bot-2") == "heard bot-2"


async def test_guessing_is_stopped_and_tokens_out_of_time_are_no_guesses() -> None:
    good, expired, early = bearer(create_service_token("web")), bearer(_signed(-100)), bearer(_signed(3600))
    async with serving(TOKENS) as address:
        for _ in range(MOST_FAILURES + 1):
            assert await refusal(connect(TOKENS, address, expired)) == (UNAUTHENTICATED, "the token has expired")
            code, said = await refusal(connect(TOKENS, address, early))
            assert code is UNAUTHENTICATED
            assert "clock" in said
        for n in range(MOST_FAILURES):
            assert (await refusal(connect(TOKENS, address, bearer(f"guess-{n}"))))[0] is UNAUTHENTICATED
        for credential in (bearer("guess"), good):
            code, said = await refusal(ask(TOKENS, address, credential))
            assert code is RESOURCE_EXHAUSTED
            assert "retry in" in said


def _signed(seconds: int) -> str:
    """A token that is good for one second, then or from then on."""
    import jwt

    then = int(time.time()) + seconds
    claims = {"sub": "bot-1", "aud": "grpc-agent", "iat": then, "exp": then + 1}
    return jwt.encode(claims, SECRET, "HS256", headers={"typ": "grpc-agent+jwt"})


async def test_an_oversized_message_is_refused_and_ends_its_call_alone() -> None:
    config = GRPCConfig(max_message_bytes=10_000)
    async with serving(config) as address, grpc.aio.insecure_channel(address) as channel:
        stream: Any = channel.stream_stream("/test.Echo/Stream")(timeout=BOUND_SECONDS)
        await stream.write(b"x")
        assert await stream.read() == b"xNone"
        call: Any = channel.unary_unary("/test.Echo/WhoAmI")
        assert (await refusal(call(b"x" * 10_001)))[0] is RESOURCE_EXHAUSTED
        await stream.write(b"x" * 10_000)
        assert len(await stream.read()) == 10_004
        await stream.write(b"x" * 10_001)
        assert (await refusal(stream.read()))[0] is RESOURCE_EXHAUSTED


async def test_an_agent_may_replace_its_stream_where_no_place_is_left() -> None:
    """It comes back before the server has noticed that it was gone."""
    config = TOKENS.model_copy(update={"max_agents": 1})
    service, handler = streaming_service()
    async with serving(config, Connect=handler) as address, opened(config, address) as channel:
        bots = [
            {"metadata": (bearer(create_agent_token(name)),), "timeout": BOUND_SECONDS} for name in ("bot-1", "bot-2")
        ]
        first: Any = channel.stream_stream("/test.Echo/Connect")(**bots[0])
        await first.write(b"bot-1")
        await first.read()
        again: Any = channel.stream_stream("/test.Echo/Connect")(**bots[0])
        await again.write(b"bot-1")
        assert await again.read()
        assert await first.code() is grpc.StatusCode.ABORTED
        other: Any = channel.stream_stream("/test.Echo/Connect")(**bots[1])
        await other.write(b"bot-2")
        assert await other.code() is RESOURCE_EXHAUSTED
        assert service.is_client_connected("bot-1")


async def test_more_agents_than_allowed_are_refused_until_one_leaves() -> None:
    config = GRPCConfig(max_agents=2)
    async with serving(config) as address, opened(config, address) as channel:
        streams: list[Any] = [channel.stream_stream("/test.Echo/Stream")(timeout=BOUND_SECONDS) for _ in range(2)]
        for stream in streams:
            await stream.write(b"")
            assert await stream.read() == b"None"
        assert await refusal(connect(config, address)) == (RESOURCE_EXHAUSTED, "too many agents are connected")
        assert await ask(config, address) == "None"
        await streams[0].done_writing()
        assert await streams[0].code() is grpc.StatusCode.OK
        assert await connect(config, address) == "None"
        streams[1].cancel()


async def test_those_who_watch_the_health_take_no_places_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_cfg.apps.integrations.grpc.interceptors.MOST_WATCHES", 3)
    async with serving(OPEN) as address, opened(OPEN, address) as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watching = [watch(b"", timeout=BOUND_SECONDS) for _ in range(3)]
        assert [await call.read() for call in watching] == [b"\x08\x01"] * 3
        assert (await refusal(anext(aiter(watch(b"", timeout=BOUND_SECONDS)))))[0] == RESOURCE_EXHAUSTED

        watching.pop().cancel()
        async with asyncio.timeout(BOUND_SECONDS):
            while isinstance(await _first(watch(b"", timeout=BOUND_SECONDS)), grpc.aio.AioRpcError):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def _first(call: Any) -> Any:
    try:
        return await call.read()
    except grpc.aio.AioRpcError as error:
        return error


async def test_a_flood_waits_in_the_sender() -> None:
    """Flow control of HTTP/2: a message is read when the handler asks for it, so little of the flood is taken in."""
    message, most = b"x" * 10_000, 20_000
    release = asyncio.Event()

    async def slow(requests: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes]:
        await release.wait()
        yield b"done"

    handler = grpc.stream_stream_rpc_method_handler(slow)
    async with (
        serving(OPEN, Slow=handler) as address,
        opened(OPEN, address) as flooding,
        opened(OPEN, address) as other,
    ):
        call: Any = flooding.stream_stream("/test.Echo/Slow")(timeout=BOUND_SECONDS)
        written = 0

        async def flood() -> None:
            nonlocal written
            while written < most:
                await call.write(message)
                written += 1

        flooder = asyncio.create_task(flood())
        while True:
            before = written
            for _ in range(50):
                echo: Any = other.unary_unary("/test.Echo/WhoAmI")
                await echo(b"", timeout=BOUND_SECONDS)  # others are served meanwhile
            if before and written == before:
                break
        assert written * len(message) < 32 * 1024 * 1024
        release.set()
        assert await call.read() == b"done"
        flooder.cancel()
        await asyncio.wait({flooder})


async def test_pings_as_allowed_keep_an_idle_stream_and_more_frequent_ones_end_it() -> None:
    """By default gRPC's server would end it with "too_many_pings" in both cases."""
    client = GRPCConfig(client_keepalive_seconds=0.4)
    tolerant, strict = GRPCConfig(min_ping_interval_seconds=0.2), GRPCConfig(min_ping_interval_seconds=60)
    async with (
        serving(tolerant) as kept,
        serving(strict) as ended,
        opened(client, kept) as first,
        opened(client, ended) as second,
    ):
        streams: list[Any] = [one.stream_stream("/test.Echo/Stream")(timeout=BOUND_SECONDS) for one in (first, second)]
        for stream in streams:
            await stream.write(b"")
            assert await stream.read() == b"None"
        assert await refusal(streams[1].read()) == (grpc.StatusCode.UNAVAILABLE, "Too many pings")
        await streams[0].write(b"still here: ")
        assert await streams[0].read() == b"still here: None"


async def test_a_frozen_agent_is_noticed() -> None:
    config = GRPCConfig(keepalive_seconds=1, keepalive_timeout_seconds=1)
    ended = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes]:
        try:
            async for request in requests:
                yield request
        finally:
            ended.set()

    handler = grpc.stream_stream_rpc_method_handler(stream)
    async with serving(config, Stream=handler) as address:
        agent = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("frozen_agent.py")), address, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert agent.stdout is not None
            assert await asyncio.wait_for(agent.stdout.readline(), BOUND_SECONDS) == b"bot-1\n"
            agent.send_signal(signal.SIGSTOP)
            await asyncio.wait_for(ended.wait(), 15)  # without the ping timeout: more than a minute
        finally:
            agent.kill()
            await agent.wait()


async def test_a_storm_of_agents_is_let_in() -> None:
    count = 300
    async with serving(OPEN) as address, AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), ("n", n)])
            )
            for n in range(count)
        ]

        async def arrive(channel: grpc.aio.Channel) -> bytes:
            call: Any = channel.stream_stream("/test.Echo/Stream")(timeout=BOUND_SECONDS)
            await call.write(b"")
            answer: bytes = await call.read()
            return answer

        assert await asyncio.gather(*map(arrive, channels)) == [b"None"] * count


async def test_every_kind_of_handler_works_behind_the_check_of_callers() -> None:
    async with serving(OPEN) as address, opened(OPEN, address) as channel:
        for method in ("Stream", "Held", "Returned"):
            assert await connect(OPEN, address, method=method, message=b"x") == "xNone"
        upload: Any = channel.stream_unary("/test.Echo/Upload")
        assert await upload(iter([b"a", b"b"])) == b"ab"
        download: Any = channel.unary_stream("/test.Echo/Download")
        assert [answer async for answer in download(b"x")] == [b"x0", b"x1", b"x2"]
        synchronous: Any = channel.unary_unary("/test.Echo/Synchronous")
        assert (await refusal(synchronous(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED
        unknown: Any = channel.unary_unary("/test.Echo/Unknown")
        assert (await refusal(unknown(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_a_long_stream_behind_the_check_of_callers_takes_no_more_memory() -> None:
    async with serving(OPEN) as address, opened(OPEN, address) as channel:
        call: Any = channel.stream_stream("/test.Echo/Stream")()

        async def exchange(count: int) -> None:
            for _ in range(count):
                await call.write(b"x" * 1000)
                assert len(await call.read()) == 1004

        await exchange(1000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await exchange(5000)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096  # KiB; of 10,000 KB of messages
        call.cancel()


def test_files_that_no_connection_can_be_made_with_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    mixed = GRPCConfig(client_certificate=str(one.certificate), client_key=str(other.key))
    with pytest.raises(ConfigurationError, match=r"GRPC\['client_certificate'\] and GRPC\['client_key'\] must be"):
        channel_credentials(mixed)
    with pytest.raises(ConfigurationError, match=r"GRPC\['server_ca'\]: .* must be a PEM file of certificates"):
        channel_credentials(GRPCConfig(server_ca=__file__))
    served = GRPCConfig(tls_certificate=str(one.certificate), tls_key=str(one.key), client_ca=__file__)
    with pytest.raises(ConfigurationError, match=r"GRPC\['client_ca'\]: .* must be a PEM file of certificates"):
        server_credentials(served)


async def test_a_token_that_is_not_sent_as_one_is_told_how() -> None:
    config = GRPCConfig(agent_tokens="required", token_secret=SECRET)
    async with serving(config) as address:
        code, text = await refusal(ask(config, address, ("authorization", "Token abc")))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "`authorization` must be `Bearer` and a token" in text
