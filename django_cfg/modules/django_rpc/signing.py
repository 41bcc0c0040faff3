"""Pure: who may have written a request: an HMAC over everything in it that counts, bound to its stream and its time.

The field `signature` of an entry is `1.<milliseconds>.<hex>`: the caller's clock in Unix milliseconds, and HMAC-SHA256
in 64 hexadecimal digits. What is signed: `1`, the stream's name, the milliseconds, and of the request its correlation
id, its method and the fields `user`, `key`, `timeout_ms` and `payload`, each as its length in bytes in decimal digits,
a colon and the bytes; a field that is missing counts as empty.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from django_cfg.errors import UnauthorizedError
from django_cfg.modules.django_rpc import protocol
from django_cfg.rpc.user_ids import is_user_id

__all__ = ["OLDEST_SECONDS", "SIGNATURE", "USER", "Signer", "derived_key", "signed_seconds"]

SIGNATURE, USER = b"signature", b"user"
VERSION = b"1"
OLDEST_SECONDS = protocol.KEPT_SECONDS // 2
"""How far the caller's clock may be from Redis's, either way: a request of a clock that is so far ahead could be played
back for twice as long, which is how long its record lasts at least."""

_SALT = b"django_cfg.modules.django_rpc.signing"
_SHAPE = re.compile(rb"1\.(\d{1,15})\.([0-9a-f]{64})")


def derived_key(secret: str) -> bytes:
    """Of Django's SECRET_KEY, for this purpose alone."""
    return hmac.digest(_SALT, secret.encode(), hashlib.sha256)


def signed_seconds(signature: bytes) -> float:
    """The moment that it names, right or not; 0 where it names none."""
    shape = _SHAPE.fullmatch(signature)
    return int(shape[1]) / 1000 if shape else 0.0


@dataclass(frozen=True, slots=True)
class Signer:
    """`keys`: the first signs, all verify. `required`: a request without a signature is refused."""

    stream: str
    keys: tuple[bytes, ...]
    required: bool = False

    def sign(self, correlation_id: str, method: str, fields: Mapping[bytes, bytes], now_ms: int) -> bytes:
        """The value of the field `signature`."""
        moment = b"%d" % now_ms
        return b".".join((VERSION, moment, self._digest(self.keys[0], moment, correlation_id, method, fields)))

    def check(self, correlation_id: str, method: str, fields: Mapping[bytes, bytes], added_ms: float) -> None:
        """`added_ms`: when the entry came, on Redis's clock. Raises UnauthorizedError, which says what to do."""
        given = fields.get(SIGNATURE)
        if given is None:
            self._check_unsigned(fields)
            return
        signed_ms = self._signed_ms(given, correlation_id, method, fields)
        if signed_ms is None:
            raise UnauthorizedError("the request's signature is wrong: caller and server must have the same key")
        if abs(added_ms - signed_ms) >= OLDEST_SECONDS * 1000:
            raise UnauthorizedError("the request's signature is too old, or the caller's clock is wrong")
        if USER in fields and not is_user_id(fields[USER].decode(errors="replace")):
            raise UnauthorizedError("the user for whom the request speaks has no valid id")

    def renew(self, correlation_id: str, method: str, fields: Mapping[bytes, bytes], now_ms: int) -> bytes:
        """A signature of this moment in place of an older one that is right; that one otherwise."""
        if self._signed_ms(fields[SIGNATURE], correlation_id, method, fields) is None:
            return fields[SIGNATURE]
        return self.sign(correlation_id, method, fields, now_ms)

    def _check_unsigned(self, fields: Mapping[bytes, bytes]) -> None:
        if self.required:
            raise UnauthorizedError("this server takes signed requests only: set require_signature at the caller, too")
        if USER in fields:
            raise UnauthorizedError("whoever speaks for a user must sign the request")

    def _signed_ms(self, given: bytes, correlation_id: str, method: str, fields: Mapping[bytes, bytes]) -> int | None:
        """The moment of a signature that is right."""
        shape = _SHAPE.fullmatch(given)
        if shape is None:
            return None
        digests = (self._digest(key, shape[1], correlation_id, method, fields) for key in self.keys)
        return int(shape[1]) if any(hmac.compare_digest(shape[2], digest) for digest in digests) else None

    def _digest(
        self, key: bytes, moment: bytes, correlation_id: str, method: str, fields: Mapping[bytes, bytes]
    ) -> bytes:
        parts = [VERSION, self.stream.encode(), moment, correlation_id.encode(errors="surrogatepass"), method.encode()]
        parts += [fields.get(name, b"") for name in (USER, b"key", b"timeout_ms", b"payload")]
        message = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return hmac.new(key, message, hashlib.sha256).hexdigest().encode()
