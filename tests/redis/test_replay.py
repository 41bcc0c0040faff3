"""A signed request that somebody has read and adds once more: in no state of the first does it run again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_cfg.errors import ServiceUnavailableError
from django_cfg.modules.django_rpc import protocol, scripts
from django_cfg.modules.django_rpc.conf import signer_for
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import enqueue_command, prepare
from django_cfg.modules.django_rpc.protocol import Keys
from django_cfg.rpc.router import MessageRouter
from django_cfg.tests.websocket.serving import Handlers, Running, serving
from tests.redis.wire import GROUP, STREAM, dialect_b, reply_to, wait_until

KEY = "a key of the project, of more than 32 characters"
SERVERS = f"rpc:servers:{STREAM}"
Fields = dict[bytes, bytes]

with_and_without_fresh = pytest.mark.parametrize("forged", [{b"fresh": b"1"}, {}], ids=["fresh", "plain"])


@pytest.fixture(params=[True, False], ids=["required", "optional"])
def signing(request: pytest.FixtureRequest, config: WebSocketRPCConfig) -> WebSocketRPCConfig:
    return config.model_copy(update={"signing_key": KEY, "require_signature": request.param})


@pytest.fixture
def strict(config: WebSocketRPCConfig) -> WebSocketRPCConfig:
    return config.model_copy(update={"signing_key": KEY, "require_signature": True})


@pytest.fixture
def group(redis: Any) -> None:
    """Servers have been here, so that requests wait for them."""
    redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)


def captured(
    config: WebSocketRPCConfig, redis: Any, params: dict[str, Any], timeout: float = 30, method: str = "effect"
) -> Fields:
    """The fields of a request that a client enqueues now, without those that Redis adds."""
    outgoing = prepare(method, json.dumps(params).encode(), timeout, signer=signer_for(config, STREAM))
    keys = Keys(STREAM, GROUP, config.response_key_prefix)
    command = enqueue_command(keys, 1000, [(outgoing, keys.reply(outgoing.correlation_id))])
    both = redis.pipeline(transaction=True)  # a server may end the entry at once
    both.execute_command("EVAL", scripts.ENQUEUE, *command[2:])
    both.xrevrange(STREAM, count=1)
    (entry_id,), ((found_id, fields),) = both.execute()
    assert (found_id, fields.pop(b"fresh")) == (entry_id, b"1")
    found: Fields = fields
    return found


def played_back(redis: Any, running: Running, fields: Fields) -> None:
    """Returns when it has ended."""
    redis.xadd(STREAM, fields)
    wait_until(lambda: redis.xlen(STREAM) == 0 and running.server.in_flight == 0)


def redis_ms(redis: Any) -> int:
    seconds, microseconds = redis.time()
    return int(seconds * 1000 + microseconds // 1000)


def request_of(fields: Fields) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(fields[b"payload"])
    return request


@with_and_without_fresh
@pytest.mark.parametrize("timeout", [30, 0])
def test_while_the_first_waits(
    signing: WebSocketRPCConfig,
    redis: Any,
    group: None,
    handlers: Handlers,
    forged: Fields,
    timeout: float,
) -> None:
    fields = captured(signing, redis, {"name": "x"}, timeout)
    redis.xadd(STREAM, fields | forged)
    with serving(signing, handlers) as running:
        wait_until(lambda: redis.xlen(STREAM) == 0)
        played_back(redis, running, fields | forged)
    assert handlers.ran == ["x"]


@with_and_without_fresh
@pytest.mark.parametrize("timeout", [30, 0])
def test_while_the_first_runs(
    signing: WebSocketRPCConfig,
    redis: Any,
    group: None,
    handlers: Handlers,
    forged: Fields,
    timeout: float,
) -> None:
    with serving(signing, handlers) as running:
        fields = captured(signing, redis, {"name": "x"}, timeout, "held")
        wait_until(lambda: handlers.ran == ["x"])
        redis.xadd(STREAM, fields | forged)
        wait_until(lambda: redis.xinfo_groups(STREAM)[0]["lag"] == 0)
        handlers.release.set()
        wait_until(lambda: redis.xlen(STREAM) == 0 and running.server.in_flight == 0)
    assert handlers.ran == ["x"]


@with_and_without_fresh
@pytest.mark.parametrize("size", [1, protocol.LARGEST_KEPT_REPLY])
def test_after_the_first(
    signing: WebSocketRPCConfig,
    redis: Any,
    group: None,
    handlers: Handlers,
    forged: Fields,
    size: int,
) -> None:
    """Also where its reply is too large to keep."""
    handlers.release.set()
    with serving(signing, handlers) as running:
        fields = captured(signing, redis, {"name": "x", "much": "y" * size}, method="held")
        assert reply_to(redis, request_of(fields))["result"]["name"] == "x"
        played_back(redis, running, fields | forged)
    assert handlers.ran == ["x"]


@with_and_without_fresh
def test_after_the_first_was_dropped_at_its_deadline(
    signing: WebSocketRPCConfig, redis: Any, group: None, handlers: Handlers, forged: Fields
) -> None:
    """Its caller has been told that it has not run, and may have tried anew."""
    fields = captured(signing, redis, {"name": "x"}, timeout=0.5)
    added_ms = redis_ms(redis)
    wait_until(lambda: redis_ms(redis) > added_ms + 500)
    with serving(signing, handlers) as running:
        wait_until(lambda: running.server.counts["expired"] == 1 and redis.xlen(STREAM) == 0)
        played_back(redis, running, fields | forged)

        again = captured(signing, redis, {"name": "y"})
        assert reply_to(redis, request_of(again))["result"] == {"count": 1}
    assert handlers.ran == ["y"]


@with_and_without_fresh
def test_after_its_server_has_died(
    signing: WebSocketRPCConfig, redis: Any, group: None, handlers: Handlers, forged: Fields
) -> None:
    with serving(signing, handlers):
        fields = captured(signing, redis, {"name": "x"}, timeout=0)
        wait_until(lambda: redis.xlen(STREAM) == 0 and handlers.ran == ["x"])
    redis.xadd(STREAM, fields | forged)
    assert redis.xreadgroup(GROUP, "rpc-server-gone-1", {STREAM: ">"})
    redis.zadd(SERVERS, {"rpc-server-gone-1": 1})
    with serving(signing, handlers) as running:
        wait_until(lambda: running.server.counts["recovered_run"] == 1 and redis.xlen(STREAM) == 0)
    assert handlers.ran == ["x"]


@with_and_without_fresh
def test_under_an_id_of_ones_own_choice(
    strict: WebSocketRPCConfig, redis: Any, group: None, handlers: Handlers, forged: Fields
) -> None:
    """With the id, whoever adds an entry chooses its moment: long after the first's record has gone."""
    entry_id, fields = signed_before(strict, redis, seconds=100)
    with serving(strict, handlers) as running:
        redis.xadd(STREAM, fields | forged, id=entry_id)
        wait_until(lambda: redis.xlen(STREAM) == 0)
        assert running.server.counts["unauthorized"] == 1
        ((_, letter),) = redis.xrange(f"{STREAM}:dead")
        assert b"played back" in letter[b"reason"]
    assert handlers.ran == []


def signed_before(config: WebSocketRPCConfig, redis: Any, seconds: int) -> tuple[str, Fields]:
    """For nobody who waits; and an entry's id of that moment."""
    now, _ = redis.time()
    request = dialect_b("effect", {"name": "x"}, timeout=0)
    fields = {b"payload": json.dumps(request).encode()}
    moment = (now - seconds) * 1000
    signature = signer_for(config, STREAM).sign(request["correlation_id"], "effect", fields, moment)
    return f"{moment}-1", fields | {b"signature": signature}


def test_a_request_that_has_waited_for_long_runs_by_its_record(
    strict: WebSocketRPCConfig, redis: Any, group: None, handlers: Handlers
) -> None:
    entry_id, fields = signed_before(strict, redis, seconds=1000)
    mark = protocol.call_mark("effect", b'{"name":"x"}')
    record = f"rpc:call:{request_of(fields)['correlation_id']}"
    redis.xadd(STREAM, fields, id=entry_id)
    redis.set(record, protocol.taken_record(mark, entry_id))
    redis.xadd(STREAM, fields | {b"fresh": b"1"})
    with serving(strict, handlers):
        wait_until(lambda: redis.xlen(STREAM) == 0)
    assert handlers.ran == ["x"]


def test_the_record_of_a_signed_request_that_waits_lasts_for_a_day(
    strict: WebSocketRPCConfig, redis: Any, group: None
) -> None:
    fields = captured(strict, redis, {}, timeout=0)

    assert redis.ttl(f"rpc:call:{request_of(fields)['correlation_id']}") >= protocol.NO_DEADLINE_SECONDS


def test_nobody_frees_the_id_of_another(
    config: WebSocketRPCConfig, redis: Any, group: None, handlers: Handlers
) -> None:
    """By a request that is late already, or that fails and may be tried again."""
    signing = config.model_copy(update={"signing_key": KEY})

    async def busy(conn: Any, params: Any) -> Any:
        raise ServiceUnavailableError("not now")

    router = MessageRouter()
    router.register_handler("effect", handlers.effect)
    router.register_handler("busy", busy)
    handlers.router = lambda: router  # type: ignore[method-assign]
    with serving(signing, handlers):
        fields = captured(signing, redis, {"name": "x"})
        first = request_of(fields)
        assert reply_to(redis, first)["result"] == {"count": 1}
        wait_until(lambda: redis.xlen(STREAM) == 0)

    late = dialect_b("busy", {}, correlation_id=first["correlation_id"], timeout=0.001)
    redis.xadd(STREAM, {b"payload": json.dumps(late).encode(), b"fresh": b"1"})
    added_ms = redis_ms(redis)
    wait_until(lambda: redis_ms(redis) > added_ms + 1)
    with serving(signing, handlers) as running:
        wait_until(lambda: running.server.counts["expired"] == 1 and redis.xlen(STREAM) == 0)
        failing = dialect_b("busy", {}, correlation_id=first["correlation_id"])
        played_back(redis, running, {b"payload": json.dumps(failing).encode(), b"fresh": b"1", b"key": b"k"})

        played_back(redis, running, fields)
    assert handlers.ran == ["x"]
