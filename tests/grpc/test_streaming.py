"""How streams begin, live and end."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import grpc
import pytest

from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingConfig, connection, reading
from django_cfg.apps.integrations.grpc.services.streaming import service as streaming_service
from tests.grpc.streams import Message, Recorder, Service, agent, clog, make_service, one_agent, quiet, served, until


@pytest.mark.parametrize("claimed", ["", "  ", None, 7, "x" * 201, "a\nb", "tab\t"])
async def test_an_id_that_is_none_is_refused(claimed: Any) -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with served(service) as address, agent(address) as nobody:
        await nobody.say(id=claimed)

        assert (await nobody.status())[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert (notes.connected, service.agents()) == ([], [])


async def test_a_first_message_without_an_id_is_refused_without_telling_why_it_failed() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with served(service) as address, agent(address) as nobody:
        await nobody.say(other="message")

        assert await nobody.status() == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "the agent's id cannot be read from its first message",
        )
        await until(lambda: notes.errors)
        assert isinstance(notes.errors[0], KeyError)


async def test_an_id_other_than_the_authenticated_one_is_refused() -> None:
    service = make_service(identity_of=lambda context: "the-real-one")
    async with served(service) as address:
        async with agent(address, "a-thief") as thief:
            assert (await thief.status())[0] is grpc.StatusCode.PERMISSION_DENIED
        async with agent(address, "the-real-one"):
            await until(lambda: service.is_client_connected("the-real-one"))
        assert service.counts.refused_streams == 1


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError, SystemExit])
async def test_an_identity_that_cannot_be_had_lets_nobody_in(kind: type[BaseException]) -> None:
    notes = Recorder()

    def fail(context: Any) -> str:
        raise kind("the secret is 12345")

    service = make_service(notes=notes, identity_of=fail)
    async with served(service) as address, agent(address, "a") as nobody:
        code, sentence = await nobody.status()

        assert code is grpc.StatusCode.INTERNAL
        assert "12345" not in sentence
        await until(lambda: [type(error) for error in notes.errors] == [kind])
        assert service.agents() == []


async def test_a_stream_without_any_message_is_refused() -> None:
    service = make_service()
    async with served(service) as address, agent(address) as nobody:
        await nobody.half_close()

        assert (await nobody.status())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_first_message_must_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_MESSAGE_SECONDS", 0.05)
    service = make_service()
    async with served(service) as address, agent(address) as nobody:
        await nobody.call.wait_for_connection()

        assert (await nobody.status())[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_that_cannot_be_decoded_ends_the_stream_without_internals() -> None:
    service = make_service()
    async with served(service) as address:
        channel = grpc.aio.insecure_channel(address)
        call: Any = channel.stream_stream("/tests.Fleet/Connect")()
        await call.write(b'{"id": "a"}')
        await until(lambda: service.is_client_connected("a"))
        await call.write(b"secret rubbish")

        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == "a message could not be read"
        await channel.close()


async def test_a_first_message_that_cannot_be_decoded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with served(make_service()) as address:
        channel = grpc.aio.insecure_channel(address)
        call: Any = channel.stream_stream("/tests.Fleet/Connect")()
        await call.write(b"secret rubbish")

        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        await channel.close()
    (record,) = caplog.records
    assert record.getMessage() == "a message of agent '' could not be read: JSONDecodeError"


async def test_presence_is_exact_when_an_agent_breaks_off_while_it_is_written_to() -> None:
    notes = Recorder()
    service = make_service(quiet(max_queue_size=2), notes)
    async with one_agent(service) as connected:
        await clog(service, "a")
        await connected.break_off()

        await until(lambda: notes.disconnected)
        assert (service.agents(), notes.connected, notes.disconnected) == ([], ["a"], ["a"])


async def test_a_takeover_ends_even_a_stream_that_is_not_read() -> None:
    notes = Recorder()
    service = make_service(quiet(max_queue_size=2), notes)
    async with served(service) as address, agent(address, "a") as older:
        await until(lambda: service.is_client_connected("a"))
        await clog(service, "a")
        async with agent(address, "a"):
            await until(lambda: notes.connected == ["a", "a"])
            assert notes.disconnected == ["a"]
            await until(lambda: {reason for _, _, reason in notes.undelivered} == {"superseded", "interrupted"})
            assert (await older.status())[0] is grpc.StatusCode.ABORTED


async def test_a_hundred_takeovers_leave_one_stream() -> None:
    notes = Recorder()
    service = make_service(notes=notes)
    async with served(service) as address:
        channel = grpc.aio.insecure_channel(address)
        open_stream: Any = channel.stream_stream("/tests.Fleet/Connect")
        calls = [open_stream() for _ in range(100)]
        await asyncio.gather(*(call.write(b'{"id": "a"}') for call in calls))
        await until(lambda: service.counts.streams == 100 and len(notes.disconnected) == 99)

        assert len(notes.connected) == 100
        assert len(service.agents()) == 1
        await until(lambda: sum(not call.done() for call in calls) == 1)
        await channel.close()


async def test_disconnecting_sends_what_waits_and_ends_with_ok() -> None:
    service = make_service()
    async with one_agent(service) as connected:
        await service.send_to_client("a", {"command": "last"})
        await service.disconnect_client("a")

        assert not service.is_client_connected("a")
        assert await connected.hear() == {"command": "last"}
        assert (await connected.status())[0] is grpc.StatusCode.OK


@pytest.mark.parametrize("who_ends_it", ["server", "agent"])
async def test_an_agent_that_does_not_read_is_told_so_in_the_end(
    who_ends_it: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status would have been OK; without one the agent would wait for ever once it reads on."""
    for module in (connection, streaming_service):
        monkeypatch.setattr(module, "FLUSH_SECONDS", 0.1)
    notes = Recorder()
    service = make_service(quiet(max_queue_size=2), notes)
    async with one_agent(service) as connected:
        await clog(service, "a")
        if who_ends_it == "server":
            await service.disconnect_client("a")
        else:
            await connected.half_close()
        await until(lambda: "interrupted" in {reason for _, _, reason in notes.undelivered})

        code, sentence = await connected.status()
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "has not read in time" in sentence


async def test_one_slow_agent_delays_no_other() -> None:
    service = make_service(quiet(max_queue_size=2))
    async with served(service) as address, agent(address, "slow"), agent(address, "quick") as quick:
        await until(lambda: len(service.agents()) == 2)
        await clog(service, "slow")
        waiting = asyncio.create_task(service.send_to_client("slow", {"command": "waits"}))
        for number in range(100):
            assert await service.send_to_client("quick", {"command": number}, timeout=0)
            assert await quick.hear() == {"command": number}

        assert not waiting.done()
        waiting.cancel()


async def test_an_agent_that_breaks_off_frees_those_who_wait_for_room() -> None:
    service = make_service(quiet(max_queue_size=2, queue_timeout=60))
    async with one_agent(service) as connected:
        await clog(service, "a")
        waiting = asyncio.create_task(service.send_to_client("a", {"command": "waits"}))
        await asyncio.sleep(0)
        await connected.break_off()

        async with asyncio.timeout(5):
            assert await waiting is False


async def test_an_agent_that_answers_pings_stays() -> None:
    service = make_service(BidirectionalStreamingConfig(ping_interval=0.05, ping_timeout=1.0))
    async with one_agent(service) as connected:
        for _ in range(30):
            assert await connected.hear() == {"ping": True}
            await connected.say(pong=True)

        assert service.is_client_connected("a")
        assert service.agents()[0].last_heard_seconds < 1.0


async def test_a_busy_processor_is_not_the_agents_silence() -> None:
    done: list[Message] = []

    async def process(client_id: str, message: Message, queue: object) -> None:
        await asyncio.sleep(0.02 if "number" in message else 0)
        done.append(message)

    config = BidirectionalStreamingConfig(ping_interval=0.05, ping_timeout=0.3)
    service = make_service(config, message_processor=process)
    async with one_agent(service) as connected:
        for number in range(40):
            await connected.say(number=number)
        while len(done) < 41:
            await connected.hear()
            await connected.say(pong=True)

        assert service.counts.silent_streams == 0


async def test_messages_are_processed_in_order_one_after_the_other() -> None:
    order: list[Any] = []

    async def process(client_id: str, message: Message, queue: object) -> None:
        order.append(("begin", message.get("number")))
        await asyncio.sleep(0)
        order.append(("end", message.get("number")))

    service = make_service(message_processor=process)
    async with one_agent(service) as connected:
        for number in range(30):
            await connected.say(number=number)
        await until(lambda: len(order) == 62)

        assert order == [(what, number) for number in [None, *range(30)] for what in ("begin", "end")]


async def test_a_server_may_follow_another_in_a_new_event_loop() -> None:
    service = make_service()
    async with one_agent(service):
        pass
    assert await asyncio.to_thread(asyncio.run, _serve_once(service))


async def _serve_once(service: Service) -> bool:
    async with one_agent(service) as connected:
        return await service.send_to_client("a", {"command": "1"}) and await connected.hear() == {"command": "1"}


@pytest.mark.parametrize("row_id", [17, uuid.UUID(int=17)], ids=["int", "UUID"])
async def test_an_agent_may_be_named_by_the_key_of_its_row(row_id: int | uuid.UUID) -> None:
    service = make_service()
    async with served(service) as address, agent(address, str(row_id)) as named, agent(address, "b") as other:
        await until(lambda: service.is_client_connected(row_id) and service.is_client_connected("b"))
        assert await service.send_to_client(row_id, {"command": "1"})
        assert await asyncio.to_thread(service.send_to_client_sync, row_id, {"command": "2"})
        waiting = asyncio.create_task(service.execute_command(row_id, {"command": "3"}, 10.0))
        assert [(await named.hear())["command"] for _ in range(3)] == ["1", "2", "3"]
        await named.report("3")
        result = await waiting
        assert (result.ok, result.agent_id) == (True, str(row_id))
        assert await service.broadcast_to_all({"command": "4"}, exclude=row_id) == 1
        assert await service.broadcast_to_all({"command": "5"}, exclude=[row_id, "b"]) == 0
        assert await other.hear() == {"command": "4"}
        await service.disconnect_client(row_id)
        assert (await named.status())[0] is grpc.StatusCode.OK

    nobody: Any = b"17"
    with pytest.raises(TypeError, match="a text, an int or a UUID, not b'17'"):
        await service.send_to_client(nobody, {"command": "1"})


async def test_an_extractor_that_returns_no_text_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    service = make_service(client_id_extractor=lambda message: uuid.UUID(int=message["id"]))
    async with served(service) as address, agent(address, 17) as refused:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        code, text = await refused.status()
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "the agent's id cannot be read from its first message")
    assert "TypeError: it must return the agent's id as a text, not UUID" in caplog.text
