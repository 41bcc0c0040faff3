"""Which requests count as the project's own, and which do not."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from django.test import override_settings

from django_cfg.errors import UnauthorizedError
from django_cfg.modules.django_rpc.conf import signer_for
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.signing import SIGNATURE, USER, Signer, derived_key

KEY = b"k" * 32
NOW_MS = 1_800_000_000_000
SIGNER = Signer("stream:requests", (KEY,), required=True)
FIELDS = {b"payload": b'{"method":"pay"}', b"timeout_ms": b"30000", b"key": b"once", USER: b"42"}


def signed(signer: Signer = SIGNER, changes: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """`changes` are made after it was signed."""
    return FIELDS | {SIGNATURE: signer.sign("c1", "pay", FIELDS, NOW_MS)} | (changes or {})


def check(fields: dict[bytes, bytes], signer: Signer = SIGNER, added_ms: float = NOW_MS + 5) -> None:
    signer.check("c1", "pay", fields, added_ms)


def test_ones_own_signature_is_right_and_other_fields_do_not_count() -> None:
    check(signed())
    check(signed(changes={b"fresh": b"1", b"traceparent": b"00-x"}))


def test_the_documented_format() -> None:
    values = [b"1", b"stream:requests", b"%d" % NOW_MS, b"c1", b"pay", b"42", b"once", b"30000", FIELDS[b"payload"]]
    message = b"".join(b"%d:%b" % (len(value), value) for value in values)

    assert signed()[SIGNATURE] == b"1.%d.%b" % (NOW_MS, hmac.new(KEY, message, hashlib.sha256).hexdigest().encode())


@pytest.mark.parametrize("name", ["payload", "timeout_ms", "key", "user", "signature"])
@pytest.mark.parametrize("value", [b"", b"x", b"1.1800000000000." + b"0" * 64, b"1.." + b"\xff" * 64])
def test_a_change_of_what_is_signed_is_noticed(name: str, value: bytes) -> None:
    with pytest.raises(UnauthorizedError, match="signature is wrong"):
        check(signed(changes={name.encode(): value}))


def test_no_bytes_can_move_from_one_field_to_the_next() -> None:
    with pytest.raises(UnauthorizedError, match="signature is wrong"):
        check(signed(changes={USER: b"42once", b"key": b""}))


def test_another_method_id_stream_or_key_is_noticed() -> None:
    for other in (Signer("stream:django:requests", (KEY,)), Signer("stream:requests", (b"o" * 32,))):
        with pytest.raises(UnauthorizedError, match="must have the same key"):
            check(signed(), other)
    for correlation_id, method in (("c2", "pay"), ("c1", "refund")):
        with pytest.raises(UnauthorizedError, match="signature is wrong"):
            SIGNER.check(correlation_id, method, signed(), NOW_MS)


@pytest.mark.parametrize("added_ms", [NOW_MS + 60_000, NOW_MS - 60_000])
def test_what_is_played_back_later_is_refused(added_ms: float) -> None:
    with pytest.raises(UnauthorizedError, match="too old"):
        check(signed(), added_ms=added_ms)


def test_who_must_sign() -> None:
    lenient = Signer("stream:requests", (KEY,))

    with pytest.raises(UnauthorizedError, match="signed requests only"):
        check({b"payload": b"{}"})
    check({b"payload": b"{}"}, lenient)
    with pytest.raises(UnauthorizedError, match="must sign"):
        check({b"payload": b"{}", USER: b"42"}, lenient)
    with pytest.raises(UnauthorizedError, match="signature is wrong"):
        check({b"payload": b"{}", SIGNATURE: b"nonsense"}, lenient)


@pytest.mark.parametrize("user", [b"a b", b"x" * 65, "ü".encode(), b"", b"a\n"])
def test_a_user_id_that_no_transport_takes_is_refused_although_signed(user: bytes) -> None:
    fields = {b"payload": b"{}", USER: user}
    fields[SIGNATURE] = SIGNER.sign("c1", "pay", fields, NOW_MS)

    with pytest.raises(UnauthorizedError, match="no valid id"):
        check(fields)


def test_which_key_signs() -> None:
    assert signer_for(WebSocketRPCConfig(signing_key="s" * 32), "a") == Signer("a", (b"s" * 32,))
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        rotated = signer_for(WebSocketRPCConfig(require_signature=True), "stream:requests")
        check(signed(Signer("stream:requests", (derived_key("old"),))), rotated)
    assert derived_key("new") not in (b"new", derived_key("old"))


def test_a_short_key_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(ValueError, match="32 characters") as caught:
        WebSocketRPCConfig(signing_key="short-secret")
    assert "short-secret" not in str(caught.value)
    assert "s" * 32 not in repr(WebSocketRPCConfig(signing_key="s" * 32))
