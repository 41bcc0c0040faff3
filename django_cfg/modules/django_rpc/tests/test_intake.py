from __future__ import annotations

import json
from typing import Any

import pytest

from django_cfg.modules.django_rpc.intake import Malformed, Request, has_expired, make_call, needs_record, read_entry
from django_cfg.modules.django_rpc.protocol import MAX_PAYLOAD_BYTES, reply_pattern
from django_cfg.modules.django_rpc.redis_clock import RedisClock

ALLOWED = reply_pattern("list:response:")
ENTRY = "10000-0"


def payload(**changes: Any) -> dict[bytes, bytes]:
    request = {"method": "echo", "params": {"n": 1}, "correlation_id": "c1", "reply_to": "list:response:c1"}
    return {b"payload": json.dumps({**request, "timeout": 30, **changes}).encode()}


def read(fields: dict[bytes, bytes]) -> Request:
    request = read_entry(ENTRY, fields, ALLOWED)
    assert isinstance(request, Request)
    return request


def refused(fields: dict[bytes, bytes]) -> Malformed:
    entry = read_entry(ENTRY, fields, ALLOWED)
    assert isinstance(entry, Malformed)
    return entry


def test_fields_beside_the_payload_are_optional_and_win() -> None:
    plain = read(payload())
    ours = read({**payload(), b"v": b"2", b"timeout_ms": b"1500", b"key": b"order-1", b"fresh": b"1"})

    assert (plain.timeout_seconds, plain.extended, plain.key, plain.fresh) == (30.0, False, "", False)
    assert (ours.timeout_seconds, ours.extended, ours.key, ours.fresh) == (1.5, True, "order-1", True)


@pytest.mark.parametrize("changes", [{"reply_to": None}, {"timeout": 0}, {"reply_to": ""}])
def test_nobody_waits_without_a_reply_list_or_with_a_timeout_of_zero(changes: dict[str, Any]) -> None:
    assert read(payload(**changes)).reply_to is None


@pytest.mark.parametrize(
    "changes",
    [
        {"method": ""},
        {"method": "a b"},
        {"method": 5},
        {"correlation_id": ""},
        {"correlation_id": "x" * 201},
        {"timeout": -1},
        {"timeout": "soon"},
    ],
)
def test_a_malformed_request_tells_its_caller(changes: dict[str, Any]) -> None:
    assert refused(payload(**changes)).reply_to == "list:response:c1"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"a":NaN}', b"[" * 1000])
def test_what_cannot_be_read_tells_nobody(raw: bytes) -> None:
    entry = refused({b"payload": raw})

    assert entry.reply_to is None
    assert entry.reason


VICTIM = '{"reply_to":"list:response:victim","correlation_id":"victims","type":"rpc"}'
OWN = '"reply_to":"list:response:c1","correlation_id":"c1"'


@pytest.mark.parametrize(
    "raw",
    [
        f'{{"method":"echo","params":{VICTIM},{OWN},"timeout":"5"}}',
        f'{{"method":"echo","params":[{VICTIM},NaN],{OWN}}}',
        f'{{"params":{{"text":"\\"}},{VICTIM[1:-1]}"}},"x":{{"y":[{VICTIM}]}},{OWN}',
        f'{{"method":"echo","params":{"[" * 100}{VICTIM}{"]" * 100},{OWN}}}',
        f'{{"method":"echo","params":{{"deep":{VICTIM},"text":"{"x" * MAX_PAYLOAD_BYTES}"}},{OWN}}}',
    ],
)
def test_what_an_end_user_wrote_is_nobodys_address(raw: str) -> None:
    entry = refused({b"payload": raw.encode()})

    assert (entry.reply_to, entry.correlation_id, entry.typed) == ("list:response:c1", "c1", False)


def test_a_reply_list_elsewhere_is_refused_and_not_written_to() -> None:
    for fields in (payload(reply_to="celery"), {b"payload": payload(reply_to="celery")[b"payload"][:-1]}):
        assert refused(fields).reply_to is None


def test_a_deadline_counts_from_the_entry_on_redis_clock() -> None:
    request = read(payload(timeout=5))

    assert not has_expired(request, 14.9)
    assert has_expired(request, 15.0)
    assert make_call(request, 12.0).timeout_seconds == pytest.approx(3.0)


def test_what_is_signed_is_not_fresh_by_its_own_word() -> None:
    signed = read({**payload(), b"fresh": b"1", b"signature": b"1.20000." + b"0" * 64})

    assert not signed.fresh
    assert not needs_record(signed, 79.9)
    assert needs_record(signed, 80.0)
    assert not needs_record(read(payload()), 1e9)


def test_without_a_deadline_nothing_expires() -> None:
    request = read(payload(timeout=0))

    assert not has_expired(request, 1e9)
    assert make_call(request, 1e9).timeout_seconds > 3600


def test_a_call_is_a_services_and_knows_its_key() -> None:
    call = make_call(read({**payload(), b"key": b"k"}), 10.0)

    assert call.is_service
    assert call.user_id is None
    assert call.meta["idempotency_key"] == "k"
    assert call.meta["delivery_count"] == 1


def test_the_best_round_trip_sets_the_clock() -> None:
    clock = RedisClock()
    clock.sample(sent=100.0, received=102.0, redis_seconds=5001.9)
    clock.sample(sent=110.0, received=110.2, redis_seconds=5010.1)

    assert clock.now(120.0) == pytest.approx(5020.0)
    clock.reset()
    with pytest.raises(ValueError, match="not yet been asked"):
        clock.now(120.0)
