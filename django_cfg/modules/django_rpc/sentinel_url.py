"""Pure: `sentinel://[user:password@]host:port,host:port/service/db[?sentinel_username=...&sentinel_password=...]`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["SentinelURL", "read_sentinel_url"]

DEFAULT_PORT = 26_379
_OWN = {"sentinel_username", "sentinel_password"}


@dataclass(frozen=True, slots=True)
class SentinelURL:
    """Who watches, and what: user and password are Redis's own; the Sentinels may want others."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)


def read_sentinel_url(url: str) -> SentinelURL:
    """Raises ValueError, which shows no password."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if not service or not (database or "0").isdecimal() or query.keys() - _OWN:
        raise ValueError("a Sentinel URL is sentinel://host:port,host:port/service/db")
    return SentinelURL(
        sentinels=tuple(_address(host) for host in hosts.split(",")),
        service=unquote(service),
        database=int(database or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=query.get("sentinel_password"),
    )


def _address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise ValueError("a Sentinel's host or port cannot be read; write sentinel://host:port,host:port/service/db")
    return host, port or DEFAULT_PORT
