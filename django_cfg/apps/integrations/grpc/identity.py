"""Pure: who calls, judged by a certificate, a signed token or an API key; never by what a message says."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

import jwt

from django_cfg.apps.integrations.grpc.config import GRPCConfig

__all__ = [
    "AUDIENCES",
    "LONGEST_ID",
    "Caller",
    "Credentials",
    "Refused",
    "Role",
    "admit",
    "caller",
    "caller_id",
    "current_caller",
    "identify",
    "is_id",
    "token_type",
]

LONGEST_ID = 200
LEEWAY_SECONDS = 30.0
"""By how much the clocks of those who sign and those who check may differ."""


class Role(StrEnum):
    """Agents open streams; services call everything else."""

    AGENT = "agent"
    SERVICE = "service"


AUDIENCES = {Role.AGENT: "grpc-agent", Role.SERVICE: "grpc-service"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has proved to call. A service with an API key has the id `api-key`."""

    role: Role
    id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call does not go on."""

    reason: str
    guessed: bool = True
    """The credentials were never good: it counts as an attempt to guess them."""
    known: bool = False
    """It is clear who calls; that one may not."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with a call: names (DNS and URI) in the verified certificate, and metadata; empty where missing."""

    names: tuple[str, ...] = ()
    bearer_token: str = ""
    api_key: str = ""
    other_scheme: bool = field(default=False, compare=False)
    """Whether `authorization` is of another form, which proves nothing."""


current_caller: ContextVar[Caller | None] = ContextVar("django_cfg_grpc_caller", default=None)
"""Set in the task of each RPC before its handler runs; tasks that the handler starts inherit it."""


def caller(context: object) -> Caller | None:
    """Who makes the RPC that runs now, whose servicer context is `context`; None where credentials are not required."""
    return current_caller.get()


def caller_id(context: object) -> str | None:
    """The authenticated id of the agent whose stream this is; None where agents need no credentials."""
    found = caller(context)
    return found.id if found is not None and found.role is Role.AGENT else None


def admit(given: Credentials, role: Role, config: GRPCConfig, now: float) -> Caller | Refused | None:
    """Whether a method for `role` may be called; None: by anybody. `now` is in seconds since 1970."""
    open_to_all = role is Role.AGENT and given == Credentials() and not config.identifies_agents
    if open_to_all or not config.checks_callers:
        return None
    found = identify(given, config, now)
    if isinstance(found, Refused):
        return found
    if found.role is not role:
        return Refused(f"this method is not for {found.role}s", guessed=False, known=True)
    if role is Role.AGENT and config.agent_tokens == "required" and not given.bearer_token:
        return Refused("agents need a token", guessed=False)
    return found


def identify(given: Credentials, config: GRPCConfig, now: float) -> Caller | Refused:
    """`now` is in seconds since 1970. What stands in the metadata counts before the certificate."""
    if given.bearer_token and given.api_key:
        return Refused("send either a token or an API key")
    if given.api_key:
        return _by_api_key(given.api_key, config.service_api_keys)
    if given.bearer_token:
        found = _by_token(given.bearer_token, config.token_secret, now)
        return _agreeing(found, given.names, config)
    if given.names:
        return _by_certificate(given.names, config)
    if given.other_scheme:
        return Refused("credentials are missing: `authorization` must be `Bearer` and a token")
    return Refused("credentials are missing")


def is_id(text: str) -> bool:
    """Whether it can name an agent: 1 to 200 printable characters."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable()


def token_type(role: Role) -> str:
    """The header `typ`, so that a token for another purpose is never taken for one of these."""
    return f"grpc-{role}+jwt"


def _by_api_key(given: str, keys: Iterable[str]) -> Caller | Refused:
    # All are compared, so that the time it takes does not tell which one was near.
    matches = [hmac.compare_digest(key.encode(), given.encode()) for key in keys]
    return Caller(Role.SERVICE, "api-key") if any(matches) else Refused("the API key is not known")


def _by_token(token: str, secret: str, now: float) -> Caller | Refused:
    if not secret:
        return Refused("tokens are not accepted here")
    try:
        decoded = jwt.decode_complete(
            token,
            secret,
            algorithms=["HS256"],
            audience=list(AUDIENCES.values()),
            options={
                "require": ["sub", "aud", "iat", "exp"],
                "verify_exp": False,  # below: the library would ask the clock itself
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidTokenError:
        return Refused("the token is not valid")
    return _in_time(decoded["header"], decoded["payload"], now)


def _in_time(header: dict[str, object], claims: dict[str, object], now: float) -> Caller | Refused:
    shown = (claims["aud"], header.get("typ"))
    role = next((role for role in Role if (AUDIENCES[role], token_type(role)) == shown), None)
    subject, issued, expires = claims["sub"], claims["iat"], claims["exp"]
    begins = claims.get("nbf", issued)
    if role is None or not (isinstance(subject, str) and is_id(subject)):
        return Refused("the token is not valid")
    if not (isinstance(issued, int) and isinstance(expires, int) and isinstance(begins, int)):
        return Refused("the token is not valid", guessed=False)
    if (early := max(issued, begins) - now) > LEEWAY_SECONDS:
        text = f"the token is valid in {early:.0f} s only: the clock of who signed it, or the server's, is wrong"
        return Refused(text, guessed=False)
    if expires + LEEWAY_SECONDS <= now:
        return Refused("the token has expired", guessed=False)
    return Caller(role, subject)


def _agreeing(found: Caller | Refused, names: tuple[str, ...], config: GRPCConfig) -> Caller | Refused:
    """A stolen token is of no use with another agent's certificate."""
    if isinstance(found, Refused) or found.role is not Role.AGENT or not names:
        return found
    owner = _by_certificate(names, config)
    if isinstance(owner, Caller) and owner != found:
        return Refused("the token and the certificate name different callers")
    return found


def _by_certificate(names: tuple[str, ...], config: GRPCConfig) -> Caller | Refused:
    if not set(names).isdisjoint(config.service_sans):
        return Caller(Role.SERVICE, next(name for name in names if name in config.service_sans))
    prefix = config.agent_san_prefix
    ids = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    if len(ids) != 1 or not is_id(agent_id := ids.pop()):
        return Refused("the certificate must name exactly one agent", guessed=False)
    return Caller(Role.AGENT, agent_id)
